package badger_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/pintle-io/pintle/core/store"
)

// soakEnv makes the crash test run for a duration instead of a few cycles.
const soakEnv = "PINTLE_SOAK"

// TestKill runs a process that uses a store, kills it with -9 at a random
// moment and checks that the store tells a history which explains every answer
// that the process was given: nothing acknowledged is lost, nothing happened
// twice or out of order, and reservations and entries agree.
func TestKill(t *testing.T) {
	cycles := 20
	var until time.Time
	if v := os.Getenv(soakEnv); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			t.Fatalf("%s: %v", soakEnv, err)
		}
		until, cycles = time.Now().Add(d), 1<<30
	}
	dir := t.TempDir()
	h := newCrashHistory()
	var answers, events int
	cycle := 0
	for ; cycle < cycles && (until.IsZero() || time.Now().Before(until)); cycle++ {
		lines := runAndKill(t, dir, fmt.Sprint(cycle))
		// Half of the time the next child starts from what the kill left, not
		// from what the check made of it.
		checked := dir
		if rand.IntN(2) == 0 {
			checked = filepath.Join(t.TempDir(), "copy")
			copyDir(t, dir, checked)
		}
		s := mustOpen(t, crashOptions(checked))
		if err := h.check(t, s, lines); err != nil {
			t.Fatalf("after kill %d: %v", cycle+1, err)
		}
		verify(t, s)
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		if checked != dir {
			if err := os.RemoveAll(checked); err != nil {
				t.Fatal(err)
			}
		}
		for _, l := range lines {
			switch l.Kind {
			case "answer":
				answers++
			case "event":
				events++
			}
		}
	}
	if answers == 0 || events == 0 {
		t.Errorf("nothing happened: %d answers, %d watched events", answers, events)
	}
	t.Logf("%d kills, %d answers and %d watched events checked, %d revisions", cycle, answers, events, h.revision)
}

// runAndKill runs a child on the store and returns what it reported before it
// was killed.
func runAndKill(t *testing.T, dir, name string) []line {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDirEnv+"="+dir, crashName+"="+name)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Some are killed while they open the store, most later.
	limit := time.Duration(rand.IntN(20)) * time.Millisecond
	if rand.IntN(5) > 0 {
		limit = time.Duration(20+rand.IntN(180)) * time.Millisecond
	}
	timer := time.AfterFunc(limit, func() { cmd.Process.Kill() })
	defer timer.Stop()
	var lines []line
	in := bufio.NewReader(out)
	for {
		b, err := in.ReadBytes('\n')
		if err == io.EOF {
			break // A line without an end was cut by the kill.
		}
		if err != nil {
			t.Fatal(err)
		}
		var l line
		if err := json.Unmarshal(b, &l); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		lines = append(lines, l)
	}
	err = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("child ended by itself: %v\n%s", err, stderr.Bytes())
	}
	return lines
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", "--sparse=always", from, to).CombinedOutput(); err != nil {
		t.Fatalf("copying %s: %v: %s", from, err, out)
	}
}

// newestEvents returns the events after a revision up to the newest.
func newestEvents(t *testing.T, s store.Store, after uint64) []*store.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	now, err := s.Revision(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Watch(ctx, store.WatchRequest{After: after, Bookmarks: true})
	if err != nil {
		t.Fatalf("Watch after %d: %v", after, err)
	}
	defer w.Stop()
	var events []*store.Event
	for batch := range w.Events() {
		for _, e := range batch {
			if e.Type == store.EventBookmark && e.Revision >= now {
				return events
			}
			if e.Type != store.EventBookmark {
				events = append(events, e)
			}
		}
	}
	t.Fatalf("watch ended: %v", w.Err())
	return nil
}
