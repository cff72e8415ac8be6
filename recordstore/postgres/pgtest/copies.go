package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Archiving are settings with which a server keeps its log for Restore.
var Archiving = []string{"archive_mode = on", "archive_command = 'mkdir -p ../archive && cp %p ../archive/%f'"}

// Standby starts a standby of the server, which ends with the test. The server knows it by
// its name: to wait for it, set synchronous_standby_names.
func (s *Server) Standby(t testing.TB, name string) *Server {
	t.Helper()
	o := newServer(t, s.bin)
	s.copyTo(t, o.data(), "-R", "-d", fmt.Sprintf("host=%s user=ipns application_name=%s", s.dir, name))
	o.configure(t)
	if err := o.Restart(); err != nil {
		t.Fatal(err)
	}
	return o
}

// Backup copies the data of the running server, and returns the folder of the copy.
func (s *Server) Backup(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(s.dir, "backup")
	if err != nil {
		t.Fatal(err)
	}
	if s.as != nil {
		if err := os.Chown(dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	s.copyTo(t, dir, "-d", fmt.Sprintf("host=%s user=ipns", s.dir))
	return dir
}

// Snapshot copies the data as they are on disk, as a snapshot of it does, and returns the
// folder of the copy. Nothing may write meanwhile.
func (s *Server) Snapshot(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(s.dir, "snapshot")
	if out, err := exec.Command("cp", "-a", s.data(), dir).CombinedOutput(); err != nil {
		t.Fatalf("copy the data: %v\n%s", err, out)
	}
	if err := os.Remove(filepath.Join(dir, "postmaster.pid")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (s *Server) copyTo(t testing.TB, dir string, args ...string) {
	t.Helper()
	args = append([]string{"-D", dir, "-X", "stream", "-c", "fast", "--no-sync"}, args...)
	if out, err := s.Command("pg_basebackup", args...).CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
}

// Point makes a restore point, and waits until the archive has it.
func (s *Server) Point(t testing.TB, name string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var file string
	if err := conn.QueryRow(t.Context(), `select pg_walfile_name(pg_create_restore_point($1))`, name).Scan(&file); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(startLimit); ; time.Sleep(20 * time.Millisecond) {
		if _, err := conn.Exec(t.Context(), `select pg_switch_wal()`); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(s.dir, "archive", file)); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the log is not archived")
		}
	}
}

// Restore stops the server and puts a backup in place of its data. With a restore point, it
// recovers from the archive up to that; without, it has what it had when it was copied.
func (s *Server) Restore(t testing.TB, backup, point string) {
	t.Helper()
	s.Stop()
	if err := os.RemoveAll(s.data()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, s.data()); err != nil {
		t.Fatal(err)
	}
	if point != "" {
		s.Write(t, "recovery.signal", nil)
		s.configure(t, "restore_command = 'cp ../archive/%f %p'", fmt.Sprintf("recovery_target_name = '%s'", point), "recovery_target_action = promote")
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for end, recovering := time.Now().Add(startLimit), true; recovering; time.Sleep(20 * time.Millisecond) {
		if err := conn.QueryRow(t.Context(), `select pg_is_in_recovery()`).Scan(&recovering); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatal("the restore point is not reached")
		}
	}
}

// Promote makes a primary of a standby.
func (s *Server) Promote(t testing.TB) { s.Exec(t, "postgres", `select pg_promote(true)`) }
