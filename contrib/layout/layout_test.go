package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pintle-io/pintle/"

type pkg struct {
	ImportPath, Name, Dir, Doc string
	GoFiles                    []string
	Imports, Deps              []string
}

// packages of the module, as go list sees them.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Dir,Doc,GoFiles,Imports,Deps", "./...")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			all = append(all, p)
		}
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

func area(path string) string {
	rest, ours := strings.CutPrefix(path, module)
	if !ours {
		return ""
	}
	first, _, _ := strings.Cut(rest, "/")
	return first
}

// allowed says which areas each area may depend on, beside itself.
var allowed = map[string][]string{
	"proto":   {},
	"sdk":     {"proto"},
	"plugins": {"sdk", "proto"},
	"core":    {"sdk", "proto"},
	"cmd":     {"core", "sdk", "proto"},
	"contrib": {"sdk", "proto"},
}

// upstream says which libraries an area must not reach, however indirectly.
var upstream = map[string][]string{
	"sdk": {"github.com/dgraph-io/badger", "github.com/containerd/containerd", "k8s.io/apiserver", "k8s.io/client-go", "k8s.io/component-", "k8s.io/kubernetes"},
	"":    {"k8s.io/kubernetes"},
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		from := area(p.ImportPath)
		may, known := allowed[from]
		if !known {
			t.Errorf("%s lies in no known area", p.ImportPath)
			continue
		}
		for _, dep := range p.Deps {
			if to := area(dep); to != "" && to != from && !slices.Contains(may, to) {
				t.Errorf("%s depends on %s: %s may depend on %v alone", p.ImportPath, dep, from, may)
			}
			for _, bad := range append(slices.Clone(upstream[from]), upstream[""]...) {
				if strings.HasPrefix(dep, bad) {
					t.Errorf("%s depends on %s", p.ImportPath, dep)
				}
			}
			if from == "plugins" && area(dep) == "plugins" && !samePlugin(p.ImportPath, dep) {
				t.Errorf("%s depends on another plugin, %s", p.ImportPath, dep)
			}
		}
	}
}

// samePlugin tells whether two packages lie in one plugins/<type>/<name>.
func samePlugin(a, b string) bool {
	plugin := func(path string) string {
		parts := strings.SplitN(strings.TrimPrefix(path, module), "/", 4)
		return strings.Join(parts[:min(3, len(parts))], "/")
	}
	return plugin(a) == plugin(b)
}

// TestDocs wants a doc.go in every package; a command may say it in main.go.
func TestDocs(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		if p.Name == "main" {
			continue
		}
		if _, err := os.Stat(filepath.Join(p.Dir, "doc.go")); err != nil {
			t.Errorf("%s has no doc.go", p.ImportPath)
		}
	}
}

func TestTopLevel(t *testing.T) {
	want := []string{"LICENSE", "Makefile", "README.md", "cmd", "contrib", "core", "go.mod", "go.sum", "plugins", "proto", "sdk"}
	out, err := exec.Command("git", "-C", "../..", "ls-files").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	var got []string
	for line := range strings.Lines(string(out)) {
		top, _, _ := strings.Cut(strings.TrimSpace(line), "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(got, top) {
			got = append(got, top)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the top level holds %v, not %v", got, want)
	}
}
