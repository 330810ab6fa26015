package atomicdir

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	stamps := 0
	for _, e := range entries {
		switch {
		case e.Name() == "..data":
			continue
		case strings.HasPrefix(e.Name(), "..2"):
			stamps++
			continue
		}
		root, err := filepath.EvalSymlinks(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(p)
			rel, _ := filepath.Rel(root, p)
			out[filepath.Join(e.Name(), rel)] = string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if stamps != 1 {
		t.Errorf("%d directories with times, want 1", stamps)
	}
	return out
}

func file(s string, mode fs.FileMode) File { return File{Data: []byte(s), Mode: mode} }

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	write := func(want bool, payload map[string]File) {
		t.Helper()
		changed, err := Write(dir, payload, Options{})
		if err != nil || changed != want {
			t.Fatalf("changed %v, %v; want %v", changed, err, want)
		}
		got := read(t, dir)
		if len(got) != len(payload) {
			t.Errorf("files %v", got)
		}
		for name, f := range payload {
			if got[name] != string(f.Data) {
				t.Errorf("%s is %q, want %q", name, got[name], f.Data)
			}
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil || info.Mode().Perm() != f.Mode {
				t.Errorf("%s: %v %v", name, info, err)
			}
		}
	}
	write(true, map[string]File{"a": file("1", 0o644), "d/e/f": file("2", 0o400)})
	before, _ := os.Readlink(filepath.Join(dir, "..data"))
	write(false, map[string]File{"a": file("1", 0o644), "d/e/f": file("2", 0o400)})
	if after, _ := os.Readlink(filepath.Join(dir, "..data")); after != before {
		t.Error("nothing changed, but it was written")
	}
	write(true, map[string]File{"a": file("1", 0o600)})
	write(true, map[string]File{"b": file("", 0o644)})
	write(true, nil)
}

func TestInterruptedWriteIsMadeGood(t *testing.T) {
	dir := t.TempDir()
	if _, err := Write(dir, map[string]File{"a": file("1", 0o644)}, Options{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"..2020_01_01_00_00_00.0", "stale"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(dir, map[string]File{"a": file("1", 0o644)}, Options{}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, dir); len(got) != 1 || got["a"] != "1" {
		t.Errorf("files %v", got)
	}
}

func TestPathsThatLeadOut(t *testing.T) {
	for _, path := range []string{"", "/etc/passwd", "../x", "a/../../x", "..x", strings.Repeat("x", 256)} {
		if _, err := Write(t.TempDir(), map[string]File{path: {}}, Options{}); err == nil {
			t.Errorf("%.20q was written", path)
		}
	}
}
