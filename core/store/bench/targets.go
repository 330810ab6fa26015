package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/pintle-io/pintle/core/store"
	"github.com/pintle-io/pintle/core/store/badger"
)

// target is what is measured: the operations that both have.
type target interface {
	put(ctx context.Context, key string, value []byte) error
	get(ctx context.Context, key string) error
	// list reads everything under a prefix in pages of a size, and counts it.
	list(ctx context.Context, prefix string, page int) (int, error)
	// watch calls fn for each event under a prefix until the context ends, and
	// ready once nothing that follows will be missed.
	watch(ctx context.Context, prefix string, ready func(), fn func(value []byte)) error
	close()
}

type ours struct{ s *badger.Store }

func openOurs(dir string) (*ours, error) {
	s, err := badger.Open(badger.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return nil, err
	}
	return &ours{s}, nil
}

func (o *ours) put(ctx context.Context, key string, value []byte) error {
	_, err := o.s.Write(ctx, store.WriteRequest{Key: key, Op: store.OpUpdate, Value: value})
	if errors.Is(err, store.ErrNotFound) {
		_, err = o.s.Write(ctx, store.WriteRequest{Key: key, Op: store.OpCreate, Value: value})
	}
	return err
}

func (o *ours) get(ctx context.Context, key string) error {
	_, err := o.s.Get(ctx, key)
	return err
}

func (o *ours) list(ctx context.Context, prefix string, page int) (n int, err error) {
	req := store.ListRequest{Prefix: prefix, Limit: page}
	for {
		res, err := o.s.List(ctx, req)
		if err != nil {
			return n, err
		}
		n += len(res.Entries)
		if !res.More {
			return n, nil
		}
		req.Revision, req.After = res.Revision, res.Entries[len(res.Entries)-1].Key
	}
}

func (o *ours) watch(ctx context.Context, prefix string, ready func(), fn func([]byte)) error {
	rev, err := o.s.Revision(ctx)
	if err != nil {
		return err
	}
	w, err := o.s.Watch(ctx, store.WatchRequest{Prefix: prefix, After: rev})
	if err != nil {
		return err
	}
	ready()
	for batch := range w.Events() {
		for _, e := range batch {
			fn(e.Value)
		}
	}
	return w.Err()
}

func (o *ours) close() { o.s.Close() }

type peer struct {
	cmd    *exec.Cmd
	client *clientv3.Client
}

func startEtcd(ctx context.Context, dir string) (*peer, error) {
	client, err := freeURL()
	if err != nil {
		return nil, err
	}
	members, err := freeURL()
	if err != nil {
		return nil, err
	}
	var output bytes.Buffer
	cmd := exec.Command("etcd", "--name", "bench", "--data-dir", dir, "--log-level", "error",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", members, "--initial-advertise-peer-urls", members,
		"--initial-cluster", "bench="+members, "--quota-backend-bytes", fmt.Sprint(8<<30))
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting etcd (Debian's package etcd-server): %w", err)
	}
	p := &peer{cmd: cmd}
	if p.client, err = clientv3.New(clientv3.Config{Endpoints: []string{client}, Logger: zap.NewNop()}); err != nil {
		p.close()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, err := p.client.Get(ctx, "ready"); err != nil {
		p.close()
		return nil, fmt.Errorf("etcd does not answer: %w\n%s", err, output.Bytes())
	}
	return p, nil
}

func (p *peer) pid() int { return p.cmd.Process.Pid }

func (p *peer) put(ctx context.Context, key string, value []byte) error {
	_, err := p.client.Put(ctx, key, string(value))
	return err
}

func (p *peer) get(ctx context.Context, key string) error {
	res, err := p.client.Get(ctx, key)
	if err == nil && len(res.Kvs) != 1 {
		err = errors.New("it is not there")
	}
	return err
}

func (p *peer) list(ctx context.Context, prefix string, page int) (n int, err error) {
	from, opts := prefix, []clientv3.OpOption{clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix)), clientv3.WithLimit(int64(page))}
	for {
		res, err := p.client.Get(ctx, from, opts...)
		if err != nil {
			return n, err
		}
		n += len(res.Kvs)
		if !res.More {
			return n, nil
		}
		if n == len(res.Kvs) {
			opts = append(opts, clientv3.WithRev(res.Header.Revision))
		}
		from = string(res.Kvs[len(res.Kvs)-1].Key) + "\x00"
	}
}

func (p *peer) watch(ctx context.Context, prefix string, ready func(), fn func([]byte)) error {
	// A stream holds many watches; a hundred on each is what a server would do.
	w := p.client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	for res := range w {
		if res.Created {
			ready()
		}
		if err := res.Err(); err != nil {
			return err
		}
		for _, e := range res.Events {
			fn(e.Kv.Value)
		}
	}
	return nil
}

func (p *peer) close() {
	if p.client != nil {
		p.client.Close()
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func freeURL() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return "http://" + l.Addr().String(), nil
}

// syncRate is how often a second the disk takes an append of 1 KiB and a sync.
func syncRate(path string, d time.Duration) (float64, error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	block := bytes.Repeat([]byte("x"), 1<<10)
	start, n := time.Now(), 0
	for ; time.Since(start) < d; n++ {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(start).Seconds(), nil
}
