package repo

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestPasswordOfTheDatabaseIsNeverShown looks for it in all that shows a config, and in errors
// about it.
func TestPasswordOfTheDatabaseIsNeverShown(t *testing.T) {
	const store = "postgres://ann:hush%2Fhush@db.example/names?sslmode=require&sslpassword=alsohush"
	r := create(t)
	if _, err := r.Set("Ipns.Store", store); err != nil {
		t.Fatal(err)
	}
	tree, err := r.Show()
	if err != nil {
		t.Fatal(err)
	}
	shown, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	value, err := r.Get("ipns.store")
	if err != nil || !strings.Contains(value.(string), "ann:xxxxx@db.example/names") {
		t.Errorf("%v, %v", value, err)
	}
	section, err := r.Get("Ipns")
	if err != nil {
		t.Fatal(err)
	}
	part, err := json.Marshal(section)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetNamesAt(store); err != nil {
		t.Fatal(err)
	}
	at, _, err := r.NamesAt()
	if err != nil || at == "" {
		t.Errorf("%q, %v", at, err)
	}
	_, wrong := r.Set("Ipns.Store", "mysql://ann:hush@db.example/names")
	_, unread := r.Set("Ipns.Store", "postgres://ann:hush%%@db.example/names")
	if wrong == nil || unread == nil {
		t.Fatal(wrong, unread)
	}
	for _, text := range []string{string(shown), value.(string), string(part), at, wrong.Error(), unread.Error(), ShownStore("postgres://ann:hush%%@x")} {
		if strings.Contains(text, "hush") {
			t.Errorf("shows the password: %s", text)
		}
	}
	// What was shown can be put back.
	if _, err := r.Replace(shown); err != nil {
		t.Fatal(err)
	}
	if c, err := r.Config(); err != nil || c.Ipns.Store != store {
		t.Errorf("%q, %v", c.Ipns.Store, err)
	}
	if err := r.SetNamesAt(""); err != nil {
		t.Fatal(err)
	}
	if at, _, err := r.NamesAt(); err != nil || at != "" {
		t.Errorf("%q, %v", at, err)
	}
}

func TestRepoWhoseNamesAreBeingMovedSaysSo(t *testing.T) {
	r := Repo(t.TempDir())
	if err := r.SetNamesMoving("postgres://ann:hush@localhost/x"); err != nil {
		t.Fatal(err)
	}
	at, isMoving, err := r.NamesAt()
	if err != nil || !isMoving || at != ShownStore("postgres://ann:hush@localhost/x") || strings.Contains(at, "hush") {
		t.Errorf("%q, %v, %v", at, isMoving, err)
	}
	if err := r.SetNamesAt("postgres://localhost/x"); err != nil {
		t.Fatal(err)
	}
	if _, isMoving, err := r.NamesAt(); err != nil || isMoving {
		t.Errorf("%v, %v", isMoving, err)
	}
}
