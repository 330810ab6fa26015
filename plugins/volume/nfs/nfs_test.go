package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pintle-io/pintle/sdk/errs"
)

// TestShare is two pods on two nodes with one export.
func TestShare(t *testing.T) {
	server := startServer(t)
	clientA, _ := startPlugin(t)
	clientB, _ := startPlugin(t)
	a := newVolume(t, clientA, serverAddress, server.export(), false).mustMount()
	b := newVolume(t, clientB, serverAddress, server.export(), false).mustMount()

	// Close-to-open, again and again, also where the file is replaced.
	for i := range 20 {
		text := strings.Repeat("x", i*100)
		if err := os.WriteFile(filepath.Join(a, "shared"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		wantFile(t, filepath.Join(b, "shared"), text)
		if err := os.WriteFile(filepath.Join(b, "new"), []byte(text+"!"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(b, "new"), filepath.Join(b, "shared")); err != nil {
			t.Fatal(err)
		}
		wantFile(t, filepath.Join(a, "shared"), text+"!")
	}

	big := make([]byte, 20<<20+123)
	_, _ = rand.Read(big)
	if err := os.WriteFile(filepath.Join(a, "big"), big, 0o600); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(b, "big"), string(big))
	wantFile(t, filepath.Join(server.export(), "big"), string(big))
}

// TestReadOnly refuses writes, whatever the server allows.
func TestReadOnly(t *testing.T) {
	server := startServer(t)
	client, _ := startPlugin(t)
	if err := os.WriteFile(filepath.Join(server.export(), "file"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	path := newVolume(t, client, serverAddress, server.export(), true).mustMount()
	wantFile(t, filepath.Join(path, "file"), "text")
	if err := os.WriteFile(filepath.Join(path, "other"), nil, 0o644); !errors.Is(err, syscall.EROFS) {
		t.Errorf("writing to a read-only volume: %v", err)
	}
}

// TestErrors is what a pod's events say of a source that does not work.
func TestErrors(t *testing.T) {
	server := startServer(t)
	client, _ := startPlugin(t)
	try := func(name, address, path string, class errs.Class, timeout time.Duration) {
		t.Run(name, func(t *testing.T) {
			v := newVolume(t, client, address, path, false)
			begin := time.Now()
			_, err := v.tryMount(timeout)
			if !errs.Is(err, class) {
				t.Errorf("want class %v: %v", class, err)
			}
			named := strings.Contains(fmt.Sprint(err), address) && strings.Contains(fmt.Sprint(err), path)
			if class != errs.ClassInvalidArgument && !named {
				t.Errorf("%s and %s are not both named: %v", address, path, err)
			}
			if took := time.Since(begin); took > timeout+time.Second {
				t.Errorf("Mount returned %s after it was called, with a deadline of %s", took, timeout)
			}
			v.nothingLeft()
			v.mustUnmount()
		})
	}
	try("wrong path", serverAddress, server.export()+"/nowhere", errs.ClassNotFound, callTimeout)
	try("not exported", serverAddress, "/usr", errs.ClassNotFound, callTimeout)
	try("a path that climbs", serverAddress, "/../x", errs.ClassInvalidArgument, callTimeout)
	try("an option as the server", "-o", "/x", errs.ClassInvalidArgument, callTimeout)
	try("no route", "192.0.2.1", "/export", errs.ClassUnavailable, callTimeout)
	try("no such name", "nfs.invalid", "/export", errs.ClassUnavailable, callTimeout)
	server.freeze()
	try("frozen server", serverAddress, server.export(), errs.ClassUnavailable, 4*time.Second)
	server.thaw()
	server.stop()
	try("dead server", serverAddress, server.export(), errs.ClassUnavailable, callTimeout)
}

// TestServerRestart kills the server under writers, which wait and go on.
func TestServerRestart(t *testing.T) {
	server := startServer(t)
	client, _ := startPlugin(t)
	path := newVolume(t, client, serverAddress, server.export(), false).mustMount()

	// A process of its own, as in a pod: what this one has open, every child
	// that it starts would close and wait for the server with.
	writer := exec.Command("dd", "of="+filepath.Join(path, "file"), "bs=1M", "iflag=fullblock", "conv=fsync")
	input, err := writer.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(writer) })
	part := make([]byte, 3<<20)
	_, _ = rand.Read(part)
	if _, err := input.Write(part); err != nil {
		t.Fatal(err)
	}
	// Written and not committed: the server may lose it.
	eventually(t, "the first part is written", func() error {
		info, err := os.Stat(filepath.Join(server.export(), "file"))
		if err == nil && info.Size() < int64(len(part)) {
			err = fmt.Errorf("%d bytes", info.Size())
		}
		return err
	})
	server.stop()
	written := make(chan error, 1)
	go func() {
		_, err := input.Write(part)
		_ = input.Close()
		written <- errors.Join(err, writer.Wait())
	}()
	select {
	case err := <-written:
		t.Fatalf("a writer to a server that is away ended: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	server.start()
	select {
	case err := <-written:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(callTimeout):
		t.Fatal("the writer still waits for the server, which is back")
	}
	wantFile(t, filepath.Join(server.export(), "file"), string(part)+string(part))
	wantFile(t, filepath.Join(path, "file"), string(part)+string(part))
}

// TestPluginRestart kills the plugin; the volume works on in the same process.
func TestPluginRestart(t *testing.T) {
	server := startServer(t)
	client, process := startPlugin(t)
	v := newVolume(t, client, serverAddress, server.export(), false)
	path := v.mustMount()
	file, err := os.Create(filepath.Join(path, "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	served := v.server()
	if err := syscall.Kill(process.ReattachConfig().Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the plugin is gone", func() error {
		if !process.Exited() {
			return errors.New("it runs")
		}
		return nil
	})
	if _, err := file.WriteString("still here"); err != nil {
		t.Fatal(err)
	}
	v.client, _ = startPlugin(t)
	if again := v.mustMount(); again != path {
		t.Errorf("mounted at %s, before at %s", again, path)
	}
	if now := v.server(); now != served {
		t.Errorf("process %d serves the volume now, before %d", now, served)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(path, "file"), "still here")
	v.mustUnmount()
	wantFile(t, filepath.Join(server.export(), "file"), "still here")
}

// TestServingProcessDied mounts again where a process lost its life.
func TestServingProcessDied(t *testing.T) {
	server := startServer(t)
	client, _ := startPlugin(t)
	v := newVolume(t, client, serverAddress, server.export(), false)
	path := v.mustMount()
	if err := syscall.Kill(v.server(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mount is dead", func() error {
		if _, err := os.Stat(filepath.Join(path, "x")); !errors.Is(err, syscall.ENOTCONN) {
			return fmt.Errorf("stat: %v", err)
		}
		return nil
	})
	if again := v.mustMount(); again != path {
		t.Errorf("mounted at %s, before at %s", again, path)
	}
	if err := os.WriteFile(filepath.Join(path, "file"), []byte("x"), 0o644); err != nil {
		t.Error(err)
	}
}

// TestDeadServerUnderMount: a process that waits can be killed, Mount says what
// is wrong, and Unmount works.
func TestDeadServerUnderMount(t *testing.T) {
	for _, how := range []string{"killed", "frozen"} {
		t.Run(how, func(t *testing.T) {
			server := startServer(t)
			client, _ := startPlugin(t)
			v := newVolume(t, client, serverAddress, server.export(), false)
			path := v.mustMount()
			if how == "killed" {
				server.stop()
			} else {
				server.freeze()
				defer server.thaw()
			}
			waiting := func() (*exec.Cmd, chan error) {
				cmd := exec.Command("touch", filepath.Join(path, "file"))
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- cmd.Wait() }()
				eventually(t, "the process waits in the volume", func() error {
					text, err := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", cmd.Process.Pid))
					if err == nil && !strings.Contains(string(text), "request_wait_answer") {
						err = fmt.Errorf("it is in %s", text)
					}
					return err
				})
				return cmd, ended
			}
			cmd, ended := waiting()
			if err := cmd.Process.Signal(syscall.SIGCHLD); err != nil { // not one that ends it
				t.Fatal(err)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			wantEnd(t, "a process that was killed", ended)

			_, ended = waiting()
			if _, err := v.tryMount(4 * time.Second); !errs.Is(err, errs.ClassUnavailable) {
				t.Errorf("Mount with a dead server: %v", err)
			}
			v.mustUnmount()
			wantEnd(t, "a process in a volume that was unmounted", ended)
		})
	}
}

// wantEnd also wants that the process does not take its work for done.
func wantEnd(t *testing.T, what string, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		if err == nil {
			t.Errorf("%s succeeded", what)
		}
	case <-time.After(callTimeout):
		t.Fatalf("%s still waits", what)
	}
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, []byte(want)) {
		t.Fatalf("%s has %d bytes that are not the %d expected", path, len(got), len(want))
	}
}
