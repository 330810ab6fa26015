package etcd_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pintle-io/pintle/core/store"
	"github.com/pintle-io/pintle/core/store/badger"
	"github.com/pintle-io/pintle/core/store/etcd"
	"github.com/pintle-io/pintle/core/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *storetest.Instance {
		// One etcd a test: compaction is for all who use it.
		opts := etcd.Options{Endpoints: []string{startEtcd(t)}, WindowEvents: storetest.WindowEvents, Logger: testLogger(t)}
		s := &storetest.Instance{Store: mustOpen(t, opts), MaxValueSize: 1280 << 10}
		s.Reopen = func(t *testing.T) store.Store {
			if err := s.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
			return mustOpen(t, opts)
		}
		// What is saved here is restored to the embedded store.
		s.Restore = func(t *testing.T, r io.Reader) store.Store {
			into := badger.Options{Dir: t.TempDir(), Logger: testLogger(t)}
			if _, err := badger.Restore(t.Context(), into, r); err != nil {
				t.Fatalf("Restore: %v", err)
			}
			restored, err := badger.Open(into)
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			return restored
		}
		return s
	})
}

// TestSharedByTwo has two stores on one etcd see each other's writes.
func TestSharedByTwo(t *testing.T) {
	opts := etcd.Options{Endpoints: []string{startEtcd(t)}, Logger: testLogger(t)}
	a, b := mustOpen(t, opts), mustOpen(t, opts)
	defer a.Close()
	defer b.Close()
	w, err := b.Watch(t.Context(), store.WatchRequest{Prefix: "/"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		from, to := a, b
		if i%2 == 1 {
			from, to = b, a
		}
		key := fmt.Sprintf("/%d", i)
		e, err := from.Write(t.Context(), store.WriteRequest{Key: key, Op: store.OpCreate, Take: []string{key}})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := to.Get(t.Context(), key); err != nil || got.Revision != e.Revision {
			t.Fatalf("%s is at %d, %v; want %d", key, got.Revision, err, e.Revision)
		}
	}
	seen := 0
	for batch := range w.Events() {
		for _, e := range batch {
			if e.Key != fmt.Sprintf("/%d", seen) {
				t.Fatalf("event %d is of %s", seen, e.Key)
			}
			seen++
		}
		if seen == 20 {
			return
		}
	}
	t.Fatalf("watch ended: %v", w.Err())
}

func TestOpenWithoutEtcd(t *testing.T) {
	_, err := etcd.Open(t.Context(), etcd.Options{Endpoints: []string{"http://127.0.0.1:1"}, DialTimeout: time.Second})
	if err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:1") {
		t.Errorf("error is %v", err)
	}
}

func testLogger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
}

func mustOpen(t *testing.T, opts etcd.Options) *etcd.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := etcd.Open(ctx, opts)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

// startEtcd runs an etcd of the test's own and returns its URL.
func startEtcd(t *testing.T) string {
	t.Helper()
	client, peer := freeURL(t), freeURL(t)
	var output bytes.Buffer
	cmd := exec.Command("etcd",
		"--name", "test", "--data-dir", t.TempDir(),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
		"--initial-cluster", "test="+peer, "--log-level", "error",
		// A member alone elects itself sooner so.
		"--heartbeat-interval", "10", "--election-timeout", "50")
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting etcd, of the package etcd-server: %v", err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // It says that it was killed.
		if t.Failed() {
			t.Logf("etcd: %s", output.Bytes())
		}
	})
	// A client that comes too early waits a second before it tries again.
	address := strings.TrimPrefix(client, "http://")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return client
		}
		if time.Now().After(deadline) {
			t.Fatalf("etcd does not listen: %v", err)
		}
	}
}

func freeURL(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}
