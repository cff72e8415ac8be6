package repo

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Each profile can be applied, and those that undo another one do.
func TestEveryProfileCanBeApplied(t *testing.T) {
	for _, p := range Profiles {
		r := create(t)
		c, err := r.ApplyProfile(p.Name, false)
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		if changed := !reflect.DeepEqual(c.Before, c.After); changed == p.Nothing {
			t.Errorf("%s: changed: %v", p.Name, changed)
		}
		if _, err := r.Config(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		config := NewConfig(Identity{PeerID: "x"})
		if err := config.Apply(p.Name); err != nil {
			t.Errorf("init with %s: %v", p.Name, err)
		}
	}
	for first, second := range map[string]string{"server": "local-discovery", "default-networking": "test"} {
		r := create(t)
		for _, p := range []string{second, first, second} {
			if _, err := r.ApplyProfile(p, false); err != nil {
				t.Fatal(err)
			}
			if p == second {
				tree, err := r.Show()
				if err != nil {
					t.Fatal(err)
				}
				if before, err := os.ReadFile(r.path("seen")); err == nil && string(before) != asJSON(tree) {
					t.Errorf("%s does not undo %s:\n%s\n%s", second, first, before, asJSON(tree))
				}
				if err := os.WriteFile(r.path("seen"), []byte(asJSON(tree)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestProfileKeepsTheConfigAsItWas(t *testing.T) {
	r := create(t)
	before := read(t, r, configFile)
	for _, name := range []string{"server", "nope"} {
		if _, err := r.ApplyProfile(name, true); (err == nil) != (name == "server") {
			t.Error(name, err)
		}
		if read(t, r, configFile) != before {
			t.Error("a dry run, or an unknown profile, changed the config")
		}
	}
	c, err := r.ApplyProfile("server", false)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(asJSON(c.Before)+asJSON(c.After), "PrivKey") {
		t.Error("the private key is shown")
	}
	kept, _ := filepath.Glob(r.path(configFile) + "-pre-server-*")
	if len(kept) != 1 {
		t.Fatalf("kept: %v", kept)
	}
	was, err := ShowFile(kept[0])
	if err != nil || asJSON(was) != asJSON(c.Before) || strings.Contains(read(t, r, filepath.Base(kept[0])), "PrivKey") {
		t.Errorf("kept: %v, %v", was, err)
	}
	if info, err := os.Stat(kept[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

// What the config says where a profile does not speak stays, foreign keys too.
func TestProfileLeavesTheRest(t *testing.T) {
	r := create(t)
	if _, err := r.Set("Experimental.FilestoreEnabled", true); err != nil {
		t.Fatal(err)
	}
	c, err := r.ApplyProfile("unixfs-v1-2025", false)
	if err != nil {
		t.Fatal(err)
	}
	for key := range maps.Keys(c.After) {
		if same := reflect.DeepEqual(c.Before[key], c.After[key]); same == slices.Contains([]string{"Import"}, key) {
			t.Errorf("%s: %v", key, c.After[key])
		}
	}
}
