package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDamagedStore harms the files of the store in several ways: pintled
// refuses to go on with less than was acknowledged, says how to mend it, and
// that works.
func TestDamagedStore(t *testing.T) {
	h := newLAN(t).host()
	t.Cleanup(h.reset)
	d := h.server()
	h.mustKubectl("create", "configmap", "kept", "--from-literal=k=v")
	d.end()
	store := filepath.Join(h.stateDir(), "store")
	snapshot := filepath.Join(h.dir, "snapshot")
	pintle := filepath.Join(bin, "pintle")
	h.must(pintle, "store", "save", "--state-dir", h.stateDir(), snapshot)
	whole := filepath.Join(h.dir, "whole")
	must(t, "cp", "-a", store, whole)
	tables, err := filepath.Glob(filepath.Join(store, "db", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	for what, file := range map[string]string{
		"a table": tables[0], "the list of tables": filepath.Join(store, "db", "MANIFEST"), "the stamp": filepath.Join(store, "STORE"),
	} {
		for how, do := range map[string]func(string) error{"cut": cut, "flipped": flip} {
			t.Run(what+" "+how, func(t *testing.T) {
				must(t, "rm", "-rf", store)
				must(t, "cp", "-a", whole, store)
				if err := do(file); err != nil {
					t.Fatal(err)
				}
				for range 2 { // Trying does not mend it, nor make it worse.
					mustSay(t, h.fails(t, "server", h.dirs()...), "damaged", "pintle store restore --state-dir "+h.stateDir(), store)
				}
			})
		}
	}
	// As the message says.
	must(t, "mv", store, store+".damaged")
	h.must(pintle, "store", "restore", "--state-dir", h.stateDir(), snapshot)
	d = h.server()
	if out := h.mustKubectl("get", "configmap", "kept", "-o", "jsonpath={.data.k}"); out != "v" {
		t.Errorf("after the restore: %q", out)
	}
	h.mustKubectl("create", "configmap", "new")
	d.end()

	// A snapshot that is damaged itself is refused, and leaves nothing that
	// would pass for a store.
	content, err := os.ReadFile(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 0xff
	for name, damaged := range map[string][]byte{"flipped": content, "cut": content[:len(content)/3]} {
		must(t, "rm", "-rf", store)
		if err := os.WriteFile(snapshot, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := h.try(pintle, "store", "restore", "--state-dir", h.stateDir(), snapshot); err == nil {
			t.Errorf("a snapshot that is %s was restored: %s", name, out)
		}
		if entries, _ := os.ReadDir(store); len(entries) > 1 {
			mustSay(t, h.fails(t, "server", h.dirs()...), "restore")
		}
	}
}

func cut(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()/2)
}

// flip changes a tenth of a file's bytes, in its middle.
func flip(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for i := range max(1, len(content)/10) {
		content[len(content)/2+i] ^= 0xff
	}
	return os.WriteFile(path, content, 0o600)
}

// server runs the server alone and waits until it answers.
func (h *host) server(args ...string) *daemon {
	h.t.Helper()
	d := h.start(append([]string{"server"}, args...)...)
	h.t.Cleanup(d.kill)
	h.eventually(30*time.Second, func() error {
		select {
		case <-d.done:
			h.t.Fatalf("pintled ended: %v\n%s", d.err, d.tail())
		default:
		}
		out, err := h.kubectl("get", "--raw", "/readyz")
		if err != nil || strings.TrimSpace(out) != "ok" {
			return fmt.Errorf("%q, %v\n%s", out, err, d.tail())
		}
		return nil
	})
	return d
}

// end asks pintled to end, and wants it to end well.
func (d *daemon) end() {
	d.host.t.Helper()
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		d.host.t.Fatal(err)
	}
	select {
	case <-d.done:
	case <-time.After(30 * time.Second):
		d.host.t.Fatalf("pintled does not end\n%s", d.tail())
	}
	if d.err != nil {
		d.host.t.Fatalf("pintled ended with %v\n%s", d.err, d.tail())
	}
}
