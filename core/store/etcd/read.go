package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pintle-io/pintle/core/store"
	"github.com/pintle-io/pintle/core/store/internal/saved"
)

// savePage is how many entries Save reads at once.
const savePage = 500

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.Entry, error) {
	if err := s.enter(); err != nil {
		return store.Entry{}, err
	}
	defer s.leave()
	res, err := s.client.Get(ctx, s.entryKey(key))
	if err != nil {
		return store.Entry{}, explain(ctx, "reading "+key, err)
	}
	if len(res.Kvs) == 0 {
		return store.Entry{}, store.ErrNotFound
	}
	e, err := s.decode(res.Kvs[0])
	return e.Entry, err
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, req store.ListRequest) (store.ListResponse, error) {
	if err := s.enter(); err != nil {
		return store.ListResponse{}, err
	}
	defer s.leave()
	entries, res, err := s.page(ctx, req)
	if err != nil {
		return store.ListResponse{}, err
	}
	res.Entries = make([]store.Entry, len(entries))
	for i, e := range entries {
		res.Entries[i] = e.Entry
	}
	return res, nil
}

// page reads entries with their claims.
func (s *Store) page(ctx context.Context, req store.ListRequest) ([]kept, store.ListResponse, error) {
	from := req.Prefix
	if req.After != "" {
		from = max(from, req.After+"\x00")
	}
	opts := []clientv3.OpOption{
		clientv3.WithRange(clientv3.GetPrefixRangeEnd(s.entryKey(req.Prefix))),
		clientv3.WithLimit(int64(req.Limit)),
		clientv3.WithRev(int64(req.Revision)),
	}
	res, err := s.client.Txn(ctx).Then(
		clientv3.OpGet(s.entryKey(from), opts...),
		clientv3.OpGet(s.lastKey(), clientv3.WithKeysOnly()),
	).Commit()
	if err != nil {
		return nil, store.ListResponse{}, s.rangeError(ctx, req.Revision, err)
	}
	var newest uint64
	if kvs := res.Responses[1].GetResponseRange().Kvs; len(kvs) > 0 {
		newest = uint64(kvs[0].ModRevision)
	}
	if req.Revision > newest {
		return nil, store.ListResponse{}, &store.FutureError{Requested: req.Revision, Newest: newest}
	}
	found := res.Responses[0].GetResponseRange()
	entries := make([]kept, len(found.Kvs))
	for i, kv := range found.Kvs {
		if entries[i], err = s.decode(kv); err != nil {
			return nil, store.ListResponse{}, err
		}
	}
	list := store.ListResponse{Revision: req.Revision, More: found.More}
	if list.Revision == 0 {
		list.Revision = newest
	}
	if found.More {
		list.Remaining = found.Count - int64(len(found.Kvs))
	}
	return entries, list, nil
}

// rangeError turns etcd's answer about a revision into the store's.
func (s *Store) rangeError(ctx context.Context, revision uint64, err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		oldest, oldestErr := s.oldest(ctx, revision)
		if oldestErr != nil {
			return oldestErr
		}
		return &store.CompactedError{Requested: revision, Oldest: oldest}
	case errors.Is(err, rpctypes.ErrFutureRev):
		newest, newestErr := s.newest(ctx)
		if newestErr != nil {
			return explain(ctx, "reading the revision", newestErr)
		}
		return &store.FutureError{Requested: revision, Newest: newest}
	}
	return explain(ctx, fmt.Sprintf("listing at revision %d", revision), err)
}

// oldest returns the oldest revision that is kept, knowing that one is not: a
// watch from there is told.
func (s *Store) oldest(ctx context.Context, gone uint64) (uint64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for res := range s.client.Watch(clientv3.WithRequireLeader(ctx), s.lastKey(), clientv3.WithRev(int64(max(gone, 1)))) {
		if res.CompactRevision != 0 {
			return uint64(res.CompactRevision), nil
		}
		if err := res.Err(); err != nil {
			return 0, explain(ctx, "asking for the oldest revision", err)
		}
		return gone + 1, nil // It is there again: a member was behind.
	}
	return 0, explain(ctx, "asking for the oldest revision", errors.New("the watch ended"))
}

// Reservation implements store.Store.
func (s *Store) Reservation(ctx context.Context, name string) (string, error) {
	if err := s.enter(); err != nil {
		return "", err
	}
	defer s.leave()
	res, err := s.client.Get(ctx, s.claimKey(name))
	if err != nil {
		return "", explain(ctx, "reading the claim "+name, err)
	}
	if len(res.Kvs) == 0 {
		return "", store.ErrNotFound
	}
	return string(res.Kvs[0].Value), nil
}

// Reservations implements store.Store.
func (s *Store) Reservations(ctx context.Context, prefix string) (map[string]string, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	res, err := s.client.Get(ctx, s.claimKey(prefix), clientv3.WithPrefix())
	if err != nil {
		return nil, explain(ctx, "reading claims", err)
	}
	owners := make(map[string]string, len(res.Kvs))
	for _, kv := range res.Kvs {
		owners[string(kv.Key[len(s.claimKey("")):])] = string(kv.Value)
	}
	return owners, nil
}

// Save implements store.Store. The embedded store restores what it writes; to
// move a state from one etcd to another, etcd's own snapshots are the tool.
func (s *Store) Save(ctx context.Context, w io.Writer) (uint64, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	req := store.ListRequest{Limit: savePage}
	var out *saved.Writer
	for {
		entries, page, err := s.page(ctx, req)
		if err != nil {
			return 0, fmt.Errorf("saving the store: %w", err)
		}
		if out == nil {
			out = saved.NewWriter(w, page.Revision)
			req.Revision = page.Revision
		}
		for _, e := range entries {
			out.Entry(saved.Entry{Entry: e.Entry, Claims: e.claims})
			req.After = e.Key
		}
		if !page.More {
			break
		}
	}
	if err := out.Close(); err != nil {
		return 0, fmt.Errorf("saving the store: %w", err)
	}
	return req.Revision, nil
}
