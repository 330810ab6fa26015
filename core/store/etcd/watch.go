package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pintle-io/pintle/core/store"
)

const (
	replayEvents = 512
	replayBytes  = 1 << 20
	// retryAfter is how long the feeder waits before it begins again.
	retryAfter = 100 * time.Millisecond
)

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, req store.WatchRequest) (store.Watcher, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	newest, err := s.newest(ctx)
	if err != nil {
		return nil, explain(ctx, "watching "+req.Prefix, err)
	}
	if req.After > newest {
		return nil, &store.FutureError{Requested: req.After, Newest: newest}
	}
	if req.After < newest && req.After > 0 {
		// What follows the revision is there if the revision is.
		if _, err := s.client.Get(ctx, s.lastKey(), clientv3.WithRev(int64(req.After)), clientv3.WithCountOnly()); err != nil {
			return nil, s.rangeError(ctx, req.After, err)
		}
	}
	w, err := s.window.Watch(ctx, req, newest)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// feed fills the window with the changes after a revision until its context
// ends.
func (s *Store) feed(ctx context.Context, after uint64) {
	defer close(s.fed)
	for ctx.Err() == nil {
		err := s.watchAll(ctx, after, func(events []*store.Event) bool {
			after = events[len(events)-1].Revision
			s.window.Publish(events, after)
			return true
		})
		if ctx.Err() != nil {
			return
		}
		var compacted *store.CompactedError
		if errors.As(err, &compacted) {
			s.log.Warn("store: etcd compacted changes that were not read yet: watches end", "after", after, "oldest", compacted.Oldest)
			after = compacted.Oldest
			s.window.Skip(after)
			continue
		}
		s.log.Warn("store: the watch on etcd ended; it is begun again", "after", after, "error", err)
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
		}
	}
}

// replay reads events from etcd's history.
func (s *Store) replay(ctx context.Context, prefix string, after uint64) (events []*store.Event, upTo uint64, err error) {
	if err := s.enter(); err != nil {
		return nil, 0, err
	}
	defer s.leave()
	// The newest write is an event, so a watch of all entries will come to it.
	newest, err := s.newest(ctx)
	if err != nil {
		return nil, 0, explain(ctx, "reading history", err)
	}
	if newest <= after {
		return nil, after, nil
	}
	size := 0
	err = s.watchAll(ctx, after, func(batch []*store.Event) bool {
		for _, e := range batch {
			upTo = e.Revision
			if strings.HasPrefix(e.Key, prefix) {
				events = append(events, e)
				size += len(e.Key) + len(e.Value) + len(e.Previous)
			}
			if len(events) >= replayEvents || size > replayBytes {
				return false
			}
		}
		return upTo < newest
	})
	return events, upTo, err
}

// watchAll calls fn with the events of all entries after a revision until it is
// false.
func (s *Store) watchAll(ctx context.Context, after uint64, fn func([]*store.Event) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	from := int64(after) + 1
	for res := range s.client.Watch(clientv3.WithRequireLeader(ctx), s.entryKey(""), clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithRev(from)) {
		if res.CompactRevision != 0 {
			return &store.CompactedError{Requested: after, Oldest: uint64(res.CompactRevision)}
		}
		if err := res.Err(); err != nil {
			return explain(ctx, "watching", err)
		}
		events := make([]*store.Event, 0, len(res.Events))
		for _, e := range res.Events {
			event, err := s.event(e)
			if err != nil {
				return err
			}
			events = append(events, event)
		}
		if len(events) > 0 && !fn(events) {
			return nil
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.New("etcd ended the watch")
}

func (s *Store) event(e *clientv3.Event) (*store.Event, error) {
	out := &store.Event{
		Type:     store.EventUpdated,
		Key:      string(e.Kv.Key[len(s.entryKey("")):]),
		Revision: uint64(e.Kv.ModRevision),
	}
	switch {
	case e.Type == clientv3.EventTypeDelete:
		out.Type = store.EventDeleted
	case e.IsCreate():
		out.Type = store.EventCreated
	}
	if out.Type != store.EventDeleted {
		now, err := s.decode(e.Kv)
		if err != nil {
			return nil, err
		}
		out.Value = now.Value
	}
	if out.Type != store.EventCreated {
		if e.PrevKv == nil {
			return nil, fmt.Errorf("watching: etcd has no value of %s before revision %d", out.Key, out.Revision)
		}
		was, err := s.decode(e.PrevKv)
		if err != nil {
			return nil, err
		}
		out.Previous = was.Value
	}
	return out, nil
}
