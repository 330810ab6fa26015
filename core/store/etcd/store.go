package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/pintle-io/pintle/core/store"
	"github.com/pintle-io/pintle/core/store/internal/window"
)

// Options configure a store. The zero value of each but Endpoints takes the
// default that its comment gives.
type Options struct {
	// Endpoints are the URLs of etcd's members.
	Endpoints []string
	// TLS secures the connections, nil for none.
	TLS *tls.Config
	// Username and Password authenticate, where etcd asks for it.
	Username, Password string
	// Prefix of all keys. Default "/pintle/".
	Prefix string
	// Logger is where the store reports; slog.Default() where nil.
	Logger *slog.Logger
	// MaxValueSize is the limit of one value in bytes. Default 1.25 MiB, which
	// leaves room for keys and claims in etcd's limit of 1.5 MiB for a request.
	MaxValueSize int
	// DialTimeout is how long Open waits for etcd. Default 10 seconds.
	DialTimeout time.Duration
	// WindowEvents and WindowBytes bound the recent events in memory. Default
	// 10,000 and 16 MiB.
	WindowEvents, WindowBytes int
}

const bookmarkEvery = time.Minute

func (o Options) withDefaults() (Options, error) {
	if len(o.Endpoints) == 0 {
		return o, errors.New("opening a store on etcd: no endpoints given")
	}
	if o.Prefix == "" {
		o.Prefix = "/pintle/"
	}
	if !strings.HasSuffix(o.Prefix, "/") {
		o.Prefix += "/"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.MaxValueSize == 0 {
		o.MaxValueSize = 1280 << 10
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 10 * time.Second
	}
	if o.WindowEvents == 0 {
		o.WindowEvents = 10_000
	}
	if o.WindowBytes == 0 {
		o.WindowBytes = 16 << 20
	}
	return o, nil
}

var _ store.Store = (*Store)(nil)

// Store is a store.Store on etcd.
type Store struct {
	opts   Options
	log    *slog.Logger
	client *clientv3.Client
	window *window.Window

	stop   context.CancelFunc // ends the feeder
	fed    chan struct{}      // closed when the feeder is done
	useMu  sync.RWMutex
	closed bool
	inUse  sync.WaitGroup

	closeOnce sync.Once
	closeErr  error
}

// Open connects to etcd and checks that it answers.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            opts.Endpoints,
		TLS:                  opts.TLS,
		Username:             opts.Username,
		Password:             opts.Password,
		DialTimeout:          opts.DialTimeout,
		DialKeepAliveTime:    30 * time.Second,
		DialKeepAliveTimeout: 10 * time.Second,
		Logger:               zap.NewNop(), // Errors are returned, and logged once.
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd at %s: %w", strings.Join(opts.Endpoints, ", "), err)
	}
	s := &Store{opts: opts, log: opts.Logger, client: client, fed: make(chan struct{})}
	dial, cancel := context.WithTimeout(ctx, opts.DialTimeout)
	defer cancel()
	start, err := s.newest(dial)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to etcd at %s: %w: is it running there, and reachable?", strings.Join(opts.Endpoints, ", "), err), client.Close())
	}
	s.window = window.New(window.Config{
		Limits:   window.Limits{Events: opts.WindowEvents, Bytes: opts.WindowBytes},
		History:  s.replay,
		Start:    start,
		Bookmark: bookmarkEvery,
	})
	feed, stop := context.WithCancel(context.Background())
	s.stop = stop
	go s.feed(feed, start)
	return s, nil
}

func (s *Store) entryKey(key string) string  { return s.opts.Prefix + "e/" + key }
func (s *Store) claimKey(name string) string { return s.opts.Prefix + "r/" + name }
func (s *Store) lastKey() string             { return s.opts.Prefix + "last" }

// enter keeps the store open until leave.
func (s *Store) enter() error {
	s.useMu.RLock()
	defer s.useMu.RUnlock()
	if s.closed {
		return store.ErrClosed
	}
	s.inUse.Add(1)
	return nil
}

func (s *Store) leave() { s.inUse.Done() }

// Close implements store.Store. Calls that are under way are finished first.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.useMu.Lock()
		s.closed = true
		s.useMu.Unlock()
		s.window.Close(store.ErrClosed)
		s.inUse.Wait()
		s.stop()
		<-s.fed
		if err := s.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
			s.closeErr = fmt.Errorf("closing the connection to etcd: %w", err)
		}
	})
	return s.closeErr
}

// newest returns the revision of the newest write, 0 where there was none.
func (s *Store) newest(ctx context.Context) (uint64, error) {
	res, err := s.client.Get(ctx, s.lastKey(), clientv3.WithKeysOnly())
	if err != nil {
		return 0, err
	}
	if len(res.Kvs) == 0 {
		return 0, nil
	}
	return uint64(res.Kvs[0].ModRevision), nil
}

// Revision implements store.Store.
func (s *Store) Revision(ctx context.Context) (uint64, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	rev, err := s.newest(ctx)
	return rev, explain(ctx, "reading the revision", err)
}

// explain says what etcd was asked when it failed. The caller's own end of a
// call is returned as such.
func explain(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("%s: %w: etcd is over its space quota: compact and defragment it, then disarm the alarm", doing, store.ErrNoSpace)
	}
	return fmt.Errorf("%s: etcd: %w", doing, err)
}

// Compact implements store.Store.
func (s *Store) Compact(ctx context.Context, rev uint64) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	newest, err := s.newest(ctx)
	if err != nil {
		return explain(ctx, "compacting", err)
	}
	if rev > newest {
		return &store.FutureError{Requested: rev, Newest: newest}
	}
	if rev == 0 {
		return nil
	}
	if _, err = s.client.Compact(ctx, int64(rev)); err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
		return explain(ctx, fmt.Sprintf("compacting to revision %d", rev), err)
	}
	s.window.Compacted(rev)
	return nil
}
