package badger_test

import (
	"io"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pintle-io/pintle/core/store"
	"github.com/pintle-io/pintle/core/store/badger"
	"github.com/pintle-io/pintle/core/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *storetest.Instance {
		opts := options(t)
		s := &storetest.Instance{Store: mustOpen(t, opts), MaxValueSize: 1536 << 10, Verify: verify}
		s.Reopen = func(t *testing.T) store.Store {
			if err := s.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
			return mustOpen(t, opts)
		}
		s.Restore = func(t *testing.T, r io.Reader) store.Store {
			into := options(t)
			if _, err := badger.Restore(t.Context(), into, r); err != nil {
				t.Fatalf("Restore: %v", err)
			}
			return mustOpen(t, into)
		}
		return s
	})
}

// options are of a store that keeps its history and a small window.
func options(t *testing.T) badger.Options {
	return badger.Options{
		Dir:     t.TempDir(),
		Logger:  slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Metrics: prometheus.NewRegistry(),
		History: badger.History{Age: -1},
		Window:  badger.Window{Events: storetest.WindowEvents},
	}
}

func mustOpen(t *testing.T, opts badger.Options) *badger.Store {
	t.Helper()
	s, err := badger.Open(opts)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

// verify checks what is on disk.
func verify(t *testing.T, s store.Store) {
	t.Helper()
	if err := s.(*badger.Store).Verify(t.Context()); err != nil {
		t.Errorf("the database contradicts itself: %v", err)
	}
}
