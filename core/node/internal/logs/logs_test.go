package logs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"log/slog"

	"github.com/pintle-io/pintle/core/node/internal/nodetest"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

func entry(i int, stream, tag, text string) string {
	return fmt.Sprintf("2026-01-02T03:04:%02d.000000000Z %s %s %s\n", i, stream, tag, text)
}

func number(n int64) *int64 { return &n }

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	old := entry(0, "stdout", "F", "zero") + entry(1, "stdout", "F", "one")
	now := entry(2, "stderr", "F", "two") + entry(3, "stdout", "P", "thr") + entry(3, "stdout", "F", "ee") + "garbage\n" + entry(4, "stdout", "F", "")
	for name, data := range map[string]string{path + ".20260102-030401.000": old, path: now} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	since := time.Date(2026, 1, 2, 3, 4, 2, 0, time.UTC)
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"all":        {Options{}, "zero\none\ntwo\nthree\n\n"},
		"timestamps": {Options{Timestamps: true, Tail: number(4)}, "2026-01-02T03:04:03.000000000Z three\n2026-01-02T03:04:04.000000000Z \n"},
		"tail 0":     {Options{Tail: number(0)}, ""},
		"tail 1":     {Options{Tail: number(1)}, "\n"},
		"tail 6":     {Options{Tail: number(6)}, "one\ntwo\nthree\n\n"},
		"tail 100":   {Options{Tail: number(100)}, "zero\none\ntwo\nthree\n\n"},
		"since":      {Options{Since: since}, "two\nthree\n\n"},
		"limit":      {Options{LimitBytes: 7}, "zero\non"},
		"stderr":     {Options{Stream: "stderr"}, "two\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := Read(context.Background(), path, c.o, nil, &out); err != nil {
				t.Fatal(err)
			}
			if out.String() != c.want {
				t.Errorf("%q, want %q", out.String(), c.want)
			}
		})
	}
	if err := Read(context.Background(), filepath.Join(t.TempDir(), "none"), Options{}, nil, &bytes.Buffer{}); err != nil {
		t.Errorf("a log that was never written: %v", err)
	}
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestFollowAcrossRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	var alive atomic.Bool
	alive.Store(true)
	var out buffer
	done := make(chan error, 1)
	go func() { done <- Read(context.Background(), path, Options{Follow: true}, alive.Load, &out) }()
	var want strings.Builder
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	write := func() {
		if _, err := f.WriteString(entry(n%60, "stdout", "F", fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&want, n)
		n++
	}
	wait := func() {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); out.String() != want.String(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("read %q, want %q", out.String(), want.String())
			}
		}
	}
	for round := range 4 {
		for range 5 {
			write()
		}
		wait()
		if err := os.Rename(path, fmt.Sprintf("%s.2026010%d-000000.000", path, round+1)); err != nil {
			t.Fatal(err)
		}
		write() // the runtime still writes to the old file
		_ = f.Close()
		if f, err = os.Create(path); err != nil {
			t.Fatal(err)
		}
	}
	write()
	alive.Store(false)
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the reader did not end with the container")
	}
	wait()
}

func TestRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	rt := nodetest.NewRuntime()
	r := &Rotator{Plugins: nodetest.NewPlugins(rt, nil), Log: slog.New(slog.DiscardHandler), MaxSize: 10, MaxFiles: 3}
	c := &pluginv1.Container{Id: "c", LogPath: path}
	for i := range 6 {
		if err := os.WriteFile(path, []byte(strings.Repeat("x", 10+i)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := r.Rotate(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond) // names have milliseconds
	}
	parts, _ := rotated(path)
	if len(parts) != 2 || rt.Calls("ReopenLog") != 6 {
		t.Errorf("parts %v, %d reopened", parts, rt.Calls("ReopenLog"))
	}
	rt.SetFail(func(call, _ string) error { return fmt.Errorf("%s fails", call) })
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Rotate(context.Background(), c); err == nil {
		t.Error("a failed rotation is no error")
	}
	if b, _ := os.ReadFile(path); string(b) != "0123456789" {
		t.Errorf("the log is %q", b)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(entry(1, "stdout", "F", "x")))
	f.Add([]byte("2026 stdout"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := &printer{out: &bytes.Buffer{}, o: Options{Timestamps: true, LimitBytes: 10}, left: 10}
		_ = p.print(raw)
	})
}
