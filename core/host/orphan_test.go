package host

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNoOrphans kills a host with kill -9: its plugins die with it, and what a
// plugin left behind is cleared away by the next host on the directory.
func TestNoOrphans(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	runDir := shortDir(t) + "/run"
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envMode+"=host:"+runDir)
	stderr := &logBuffer{}
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	pids := map[string]int{}
	lines := bufio.NewScanner(out)
	for pids["ready"] == 0 {
		if !lines.Scan() {
			t.Fatalf("the host ended: %s", stderr)
		}
		word, rest, _ := strings.Cut(lines.Text(), " ")
		if word == "error" {
			t.Fatalf("in the host: %s", rest)
		}
		if pids[word], err = strconv.Atoi(rest); err != nil {
			t.Fatal(err)
		}
	}
	var grandchild int
	eventually(t, "the plugin's child is known", func() bool {
		_, rest, found := strings.Cut(stderr.String(), "child ")
		if !found {
			return false
		}
		digits := rest[:strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })]
		grandchild, err = strconv.Atoi(digits)
		return err == nil
	})
	t.Cleanup(func() { _ = syscall.Kill(grandchild, syscall.SIGKILL) })

	// A second host is kept out while the first lives.
	if _, err := New(Options{RunDir: runDir}); err == nil || !strings.Contains(err.Error(), "in use by another pintled") {
		t.Errorf("a second host on the directory: %v", err)
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for _, mode := range []string{"ok", "stubborn", "child"} {
		eventually(t, "plugin "+mode+" dies with its host", func() bool { return !alive(pids[mode]) })
	}
	if !alive(grandchild) {
		t.Log("the plugin's child died already; nothing is left to clear")
	}

	log := &logBuffer{}
	h, err := New(Options{RunDir: runDir, Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the next host clears away the plugin's child", func() bool { return !alive(grandchild) })
	entries, err := os.ReadDir(runDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != lockName {
			t.Errorf("%s is left in the run directory", e.Name())
		}
	}
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestClearStaleSparesOthers: only processes that carry the mark of a record
// are killed.
func TestClearStaleSparesOthers(t *testing.T) {
	dir := shortDir(t)
	rec, err := newRecord(dir, "volume/test")
	if err != nil {
		t.Fatal(err)
	}
	start := func(mark string, session bool) *exec.Cmd {
		cmd := exec.Command("/bin/sleep", "100")
		cmd.Env = []string{mark}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			_ = cmd.Wait()
			close(ended)
		}()
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			<-ended
		})
		return cmd
	}
	marked := start(envInstance+"="+rec.ID, false)
	daemon := start(envInstance+"="+rec.ID, true)
	other := start(envInstance+"=someone-else", false)
	if err := os.WriteFile(filepath.Join(dir, "half"+recordSuffix), []byte(`{"id"`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, socketDirPrefix+"123"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := clearStale(dir, (&logBuffer{}).logger()); err != nil {
		t.Fatal(err)
	}
	if alive(marked.Process.Pid) {
		t.Error("the marked process lives")
	}
	if !alive(daemon.Process.Pid) {
		t.Error("a daemon in a session of its own was killed")
	}
	if !alive(other.Process.Pid) {
		t.Error("a process without the mark was killed")
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left in the directory: %v", left)
	}
}

func TestStopKillsTheWholeGroup(t *testing.T) {
	h, log := newHost(t, nil)
	i, err := h.Start(t.Context(), spec(t, "child"))
	if err != nil {
		t.Fatal(err)
	}
	var child int
	eventually(t, "the child is known", func() bool {
		_, rest, _ := strings.Cut(log.String(), "msg=\"child ")
		digits, _, found := strings.Cut(rest, `"`)
		child, err = strconv.Atoi(digits)
		return found && err == nil
	})
	if !alive(child) {
		t.Fatal("the child did not start")
	}
	if err := i.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child dies with the plugin", func() bool { return !alive(child) })
}

func TestStubbornPluginIsKilled(t *testing.T) {
	h, log := newHost(t, func(o *Options) { o.StopTimeout = 100 * time.Millisecond })
	i, err := h.Start(t.Context(), spec(t, "stubborn"))
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if alive(i.PID()) {
		t.Error("it lives")
	}
	if !strings.Contains(log.String(), "did not stop when it was asked to") {
		t.Error("the log does not say that it had to be killed")
	}
}
