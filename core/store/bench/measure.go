package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	valueSize  = 1 << 10
	listKeys   = 10_000
	watchPuts  = 200
	watchPause = 2 * time.Millisecond
)

type latency struct{ p50, p99 time.Duration }

func percentiles(all []time.Duration) latency {
	slices.Sort(all)
	return latency{all[len(all)/2], all[len(all)*99/100]}
}

// rate runs fn in so many clients for a time and returns calls a second.
func rate(ctx context.Context, clients int, d time.Duration, fn func(ctx context.Context, client, i int) error) (float64, error) {
	var n atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for c := range clients {
		g.Go(func() error {
			for i := 0; time.Since(start) < d; i++ {
				if err := fn(ctx, c, i); err != nil {
					return err
				}
				n.Add(1)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return float64(n.Load()) / time.Since(start).Seconds(), nil
}

// puts writes keys of which most are there already.
func puts(ctx context.Context, t target, clients int, d time.Duration) (float64, error) {
	value := bytes.Repeat([]byte("x"), valueSize)
	return rate(ctx, clients, d, func(ctx context.Context, c, i int) error {
		return t.put(ctx, fmt.Sprintf("/put/%d/%d", c, i%100), value)
	})
}

func reads(ctx context.Context, c config, t *table, targets ...target) error {
	value := bytes.Repeat([]byte("x"), valueSize)
	for _, x := range targets {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(64)
		for i := range listKeys {
			g.Go(func() error { return x.put(ctx, fmt.Sprintf("/list/%05d", i), value) })
			if i < 500 {
				g.Go(func() error { return x.put(ctx, fmt.Sprintf("/list500/%05d", i), value) })
			}
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	both := func(what string, fn func(ctx context.Context, x target) error, clients int) error {
		var got []float64
		for _, x := range targets {
			r, err := rate(ctx, clients, c.seconds, func(ctx context.Context, _, _ int) error { return fn(ctx, x) })
			if err != nil {
				return err
			}
			got = append(got, r)
		}
		t.rates(what, got[0], got[1])
		return nil
	}
	get := func(ctx context.Context, x target) error {
		return x.get(ctx, fmt.Sprintf("/list/%05d", rand.IntN(listKeys)))
	}
	list := func(prefix string, page, want int) func(ctx context.Context, x target) error {
		return func(ctx context.Context, x target) error {
			n, err := x.list(ctx, prefix, page)
			if err == nil && n != want {
				err = fmt.Errorf("list of %s has %d entries, want %d", prefix, n, want)
			}
			return err
		}
	}
	for _, row := range []struct {
		what    string
		fn      func(ctx context.Context, x target) error
		clients int
	}{
		{"get, 1 client", get, 1},
		{"get, 64 clients", get, 64},
		{"list of 500", list("/list500/", 0, 500), 1},
		{"list of 10,000 in pages of 500", list("/list/", 500, listKeys), 1},
	} {
		if err := both(row.what, row.fn, row.clients); err != nil {
			return err
		}
	}
	return nil
}

// watches puts values that hold the time and has every watcher say how old each
// is when it comes.
func watches(ctx context.Context, t target, n int) (latency, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	prefix := fmt.Sprintf("/watch/%d/", n)
	start := time.Now()
	var mu sync.Mutex
	var all []time.Duration
	var arrived, ready sync.WaitGroup
	arrived.Add(n * watchPuts)
	ready.Add(n)
	failed := make(chan error, n)
	for range n {
		go func() {
			ages := make([]time.Duration, 0, watchPuts)
			err := t.watch(ctx, prefix, ready.Done, func(value []byte) {
				age := time.Since(start) - time.Duration(binary.BigEndian.Uint64(value))
				if ages = append(ages, age); len(ages) == watchPuts {
					mu.Lock()
					all = append(all, ages...)
					mu.Unlock()
				}
				arrived.Done()
			})
			if err != nil && ctx.Err() == nil {
				failed <- err
			}
		}()
	}
	ready.Wait()
	value := make([]byte, valueSize)
	for i := range watchPuts {
		binary.BigEndian.PutUint64(value, uint64(time.Since(start)))
		if err := t.put(ctx, fmt.Sprintf("%s%d", prefix, i%10), value); err != nil {
			return latency{}, err
		}
		time.Sleep(watchPause)
	}
	done := make(chan struct{})
	go func() { arrived.Wait(); close(done) }()
	select {
	case <-done:
	case err := <-failed:
		return latency{}, err
	}
	mu.Lock()
	defer mu.Unlock()
	return percentiles(all), nil
}
