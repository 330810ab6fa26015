package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pintle-io/pintle/core/store"
	"github.com/pintle-io/pintle/core/store/internal/record"
)

const (
	maxKeySize   = 2048
	maxClaimSize = 512
	// maxClaims keeps a write within etcd's limit of 128 operations in a
	// transaction: each claim taken is a comparison, and each taken or freed one
	// a change.
	maxClaims = 64
)

// kept is an entry as etcd has it.
type kept struct {
	store.Entry
	claims []string
}

func encode(claims []string, value []byte) string {
	b := record.AppendStrings([]byte{record.V1}, claims)
	return string(append(b, value...))
}

func (s *Store) decode(kv *mvccpb.KeyValue) (kept, error) {
	key := string(kv.Key[len(s.entryKey("")):])
	d := record.Decoder{Rest: kv.Value}
	d.Version()
	claims := d.Strings()
	if d.Err != nil {
		return kept{}, fmt.Errorf("reading %s: %w", key, d.Err)
	}
	return kept{
		Entry:  store.Entry{Key: key, Value: d.Rest, Revision: uint64(kv.ModRevision), Created: uint64(kv.CreateRevision)},
		claims: claims,
	}, nil
}

// Write implements store.Store. It reads what it builds on and has etcd make the
// change where that is still so, again until it is.
func (s *Store) Write(ctx context.Context, req store.WriteRequest) (store.Entry, error) {
	if err := s.checkWrite(req); err != nil {
		return store.Entry{}, err
	}
	if err := s.enter(); err != nil {
		return store.Entry{}, err
	}
	defer s.leave()
	// A create expects nothing to be there, and saves the read.
	at := &state{}
	if req.Op != store.OpCreate {
		var err error
		if at, err = s.readState(ctx, req); err != nil {
			return store.Entry{}, explain(ctx, "writing "+req.Key, err)
		}
	}
	for {
		if err := ctx.Err(); err != nil {
			return store.Entry{}, err
		}
		change, err := s.plan(req, at)
		if err != nil {
			return store.Entry{}, err
		}
		res, err := s.client.Txn(ctx).If(change.conditions...).Then(change.operations...).Else(s.stateReads(req)...).Commit()
		switch {
		case errors.Is(err, rpctypes.ErrRequestTooLarge):
			return store.Entry{}, &store.TooLargeError{Size: len(req.Value), Limit: s.opts.MaxValueSize}
		case errors.Is(err, rpctypes.ErrNoSpace):
			return store.Entry{}, explain(ctx, "writing "+req.Key, err)
		case err != nil:
			return store.Entry{}, fmt.Errorf("%w: %w", store.ErrUnknownOutcome, explain(ctx, "writing "+req.Key, err))
		case res.Succeeded:
			return change.answer(uint64(res.Header.Revision)), nil
		}
		if at, err = s.decodeState(req, res); err != nil {
			return store.Entry{}, err
		}
	}
}

func (s *Store) checkWrite(req store.WriteRequest) error {
	switch {
	case req.Key == "":
		return fmt.Errorf("%w: a write needs a key", store.ErrInvalid)
	case len(req.Key) > maxKeySize:
		return fmt.Errorf("%w: key of %d bytes is over the limit of %d", store.ErrInvalid, len(req.Key), maxKeySize)
	case req.Op < store.OpCreate || req.Op > store.OpDelete:
		return fmt.Errorf("%w: writing %s: unknown operation %d", store.ErrInvalid, req.Key, req.Op)
	case len(req.Value) > s.opts.MaxValueSize:
		return &store.TooLargeError{Size: len(req.Value), Limit: s.opts.MaxValueSize}
	case req.Op == store.OpDelete && len(req.Take) > 0:
		return fmt.Errorf("%w: deleting %s can't take claims", store.ErrInvalid, req.Key)
	}
	for _, name := range req.Take {
		if name == "" || len(name) > maxClaimSize {
			return fmt.Errorf("%w: writing %s: the name of a claim has 1 to %d bytes, not %d", store.ErrInvalid, req.Key, maxClaimSize, len(name))
		}
	}
	return nil
}

// state is what a write builds on, read in one transaction.
type state struct {
	entry  *kept             // nil where the key is not there
	owners map[string]string // of the claims to be taken
}

func (s *Store) stateReads(req store.WriteRequest) []clientv3.Op {
	reads := []clientv3.Op{clientv3.OpGet(s.entryKey(req.Key))}
	for _, name := range req.Take {
		reads = append(reads, clientv3.OpGet(s.claimKey(name)))
	}
	return reads
}

func (s *Store) readState(ctx context.Context, req store.WriteRequest) (*state, error) {
	res, err := s.client.Txn(ctx).Then(s.stateReads(req)...).Commit()
	if err != nil {
		return nil, err
	}
	return s.decodeState(req, res)
}

func (s *Store) decodeState(req store.WriteRequest, res *clientv3.TxnResponse) (*state, error) {
	at := &state{owners: make(map[string]string)}
	if kvs := res.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
		e, err := s.decode(kvs[0])
		if err != nil {
			return nil, err
		}
		at.entry = &e
	}
	for i, name := range req.Take {
		if kvs := res.Responses[i+1].GetResponseRange().Kvs; len(kvs) > 0 {
			at.owners[name] = string(kvs[0].Value)
		}
	}
	return at, nil
}

// change is a write as a transaction of etcd.
type change struct {
	req        store.WriteRequest
	was        *kept
	conditions []clientv3.Cmp
	operations []clientv3.Op
}

// plan checks a write's preconditions in a state. What the entry holds is under
// the condition that it did not change since.
func (s *Store) plan(req store.WriteRequest, at *state) (*change, error) {
	switch {
	case req.Op == store.OpCreate && at.entry != nil:
		return nil, store.ErrExists
	case req.Op != store.OpCreate && at.entry == nil:
		return nil, store.ErrNotFound
	case req.Op != store.OpCreate && req.IfRevision != 0 && req.IfRevision != at.entry.Revision:
		return nil, &store.ConflictError{Entry: at.entry.Entry, Expected: req.IfRevision}
	}
	c := &change{req: req, was: at.entry}
	key := s.entryKey(req.Key)
	var held []string
	if at.entry == nil {
		c.conditions = append(c.conditions, clientv3.Compare(clientv3.CreateRevision(key), "=", 0))
	} else {
		c.conditions = append(c.conditions, clientv3.Compare(clientv3.ModRevision(key), "=", int64(at.entry.Revision)))
		held = at.entry.claims
	}
	var claims []string
	for _, name := range held {
		if req.Op == store.OpDelete || slices.Contains(req.Free, name) && !slices.Contains(req.Take, name) {
			c.operations = append(c.operations, clientv3.OpDelete(s.claimKey(name)))
		} else {
			claims = append(claims, name)
		}
	}
	for _, name := range req.Take {
		if slices.Contains(claims, name) {
			continue
		}
		if owner := at.owners[name]; owner != "" && owner != req.Key {
			return nil, &store.ReservedError{Name: name, Owner: owner}
		}
		claims = append(claims, name)
		c.conditions = append(c.conditions, clientv3.Compare(clientv3.CreateRevision(s.claimKey(name)), "=", 0))
		c.operations = append(c.operations, clientv3.OpPut(s.claimKey(name), req.Key))
	}
	if len(claims) > maxClaims {
		return nil, fmt.Errorf("%w: writing %s: it would hold %d claims, over the limit of %d", store.ErrInvalid, req.Key, len(claims), maxClaims)
	}
	if req.Op == store.OpDelete {
		c.operations = append(c.operations, clientv3.OpDelete(key))
	} else {
		c.operations = append(c.operations, clientv3.OpPut(key, encode(claims, req.Value)))
	}
	c.operations = append(c.operations, clientv3.OpPut(s.lastKey(), ""))
	return c, nil
}

// answer is the entry that a change made at a revision, or deleted.
func (c *change) answer(revision uint64) store.Entry {
	e := store.Entry{Key: c.req.Key, Value: slices.Clone(c.req.Value), Revision: revision, Created: revision}
	if c.was != nil {
		e.Created = c.was.Created
	}
	if c.req.Op == store.OpDelete {
		e.Value = c.was.Value
	}
	return e
}
