package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/pintle-io/pintle/core/store"
)

type input struct {
	read    bool   // Get of key, else req
	claim   string // Reservation, when not empty
	key     string
	req     store.WriteRequest
	listing bool
}

type output struct {
	err      error
	entry    store.Entry
	owner    string
	revision uint64
	keys     string // of a list: keys and revisions
}

// cell is an entry of the model.
type cell struct {
	revision, created uint64
	value             string
	claims            []string
}

// model is the store as a sequential object, for porcupine.
var model = porcupine.Model{
	Init:  func() any { return modelState{} },
	Step:  func(s, in, out any) (bool, any) { return s.(modelState).step(in.(input), out.(output)) },
	Equal: func(a, b any) bool { return a.(modelState).equal(b.(modelState)) },
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("%+v -> %+v", in, out)
	},
}

// modelState is immutable.
type modelState struct {
	revision uint64
	cells    map[string]cell
}

func (s modelState) equal(o modelState) bool {
	return s.revision == o.revision && maps.EqualFunc(s.cells, o.cells, func(a, b cell) bool {
		return a.revision == b.revision && a.created == b.created && a.value == b.value && slices.Equal(a.claims, b.claims)
	})
}

func (s modelState) owner(claim string) string {
	for key, c := range s.cells {
		if slices.Contains(c.claims, claim) {
			return key
		}
	}
	return ""
}

func (s modelState) list() string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(s.cells)) {
		fmt.Fprintf(&b, "%s@%d ", key, s.cells[key].revision)
	}
	return b.String()
}

// step says whether an answer is right in a state, and what the state is then.
func (s modelState) step(in input, out output) (bool, modelState) {
	switch {
	case in.listing:
		return out.err == nil && out.revision == s.revision && out.keys == s.list(), s
	case in.claim != "":
		owner := s.owner(in.claim)
		return out.owner == owner && (owner == "") == errors.Is(out.err, store.ErrNotFound), s
	}
	was, found := s.cells[in.key]
	if in.read {
		if !found {
			return errors.Is(out.err, store.ErrNotFound), s
		}
		return out.err == nil && matches(out.entry, was), s
	}
	if want := s.refusal(in.req, was, found); want != nil {
		return sameRefusal(out.err, want), s
	}
	if out.err != nil || out.entry.Revision <= s.revision {
		return false, s
	}
	next := modelState{revision: out.entry.Revision, cells: maps.Clone(s.cells)}
	if next.cells == nil {
		next.cells = make(map[string]cell)
	}
	if in.req.Op == store.OpDelete {
		delete(next.cells, in.key)
		return string(out.entry.Value) == was.value && out.entry.Created == was.created, next
	}
	c := cell{revision: out.entry.Revision, created: was.created, value: string(in.req.Value)}
	if in.req.Op == store.OpCreate {
		c.created = c.revision
	}
	for _, name := range was.claims {
		if !slices.Contains(in.req.Free, name) {
			c.claims = append(c.claims, name)
		}
	}
	for _, name := range in.req.Take {
		if !slices.Contains(c.claims, name) {
			c.claims = append(c.claims, name)
		}
	}
	next.cells[in.key] = c
	return matches(out.entry, c), next
}

func matches(e store.Entry, c cell) bool {
	return e.Revision == c.revision && e.Created == c.created && string(e.Value) == c.value
}

func (s modelState) refusal(req store.WriteRequest, was cell, found bool) error {
	switch {
	case req.Op == store.OpCreate && found:
		return store.ErrExists
	case req.Op != store.OpCreate && !found:
		return store.ErrNotFound
	case req.Op != store.OpCreate && req.IfRevision != 0 && req.IfRevision != was.revision:
		return &store.ConflictError{Entry: store.Entry{Revision: was.revision}}
	}
	for _, name := range req.Take {
		if owner := s.owner(name); owner != "" && owner != req.Key {
			return &store.ReservedError{Name: name, Owner: owner}
		}
	}
	return nil
}

func sameRefusal(got, want error) bool {
	switch want := want.(type) {
	case *store.ConflictError:
		var is *store.ConflictError
		return errors.As(got, &is) && is.Entry.Revision == want.Entry.Revision
	case *store.ReservedError:
		var is *store.ReservedError
		return errors.As(got, &is) && *is == *want
	}
	return errors.Is(got, want)
}

// testLinearizable records what concurrent clients of a few keys and claims see
// and has porcupine find an order that explains it; watchers must have seen the
// writes in just that order.
func testLinearizable(t *testing.T, s *Instance) {
	const clients, each = 6, 50
	watch := mustWatch(t, s, store.WatchRequest{Bookmarks: true})
	var mu sync.Mutex
	var operations []porcupine.Operation
	var wg sync.WaitGroup
	start := time.Now()
	for c := range clients {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), uint64(start.UnixNano())))
			var known uint64 // some revision that was seen
			for i := range each {
				in := randomInput(random, c, i, known)
				call := time.Since(start)
				out := perform(t, s, in)
				returned := time.Since(start)
				if out.entry.Revision > 0 {
					known = out.entry.Revision
				}
				mu.Lock()
				operations = append(operations, porcupine.Operation{
					ClientId: c, Input: in, Output: out, Call: call.Nanoseconds(), Return: returned.Nanoseconds(),
				})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	switch result, info := porcupine.CheckOperationsVerbose(model, operations, patience); result {
	case porcupine.Illegal:
		t.Errorf("the history is not linearizable: %d operations; longest orders found: %d", len(operations), len(info.PartialLinearizations()))
	case porcupine.Unknown:
		t.Errorf("porcupine did not decide about %d operations in %v", len(operations), patience)
	}

	writes := make(map[uint64]input)
	for _, op := range operations {
		if in, out := op.Input.(input), op.Output.(output); !in.read && !in.listing && in.claim == "" && out.err == nil {
			writes[out.entry.Revision] = in
		}
	}
	events := collect(t, watch, revision(t, s))
	if len(events) != len(writes) {
		t.Errorf("%d events for %d writes", len(events), len(writes))
	}
	st := newState()
	for _, e := range events {
		if err := st.apply(e); err != nil {
			t.Fatal(err)
		}
		if in, ok := writes[e.Revision]; !ok || in.key != e.Key {
			t.Errorf("event of %s at revision %d, where %s was written", e.Key, e.Revision, in.key)
		}
	}
}

func randomInput(random *rand.Rand, client, i int, known uint64) input {
	key := fmt.Sprintf("/%d", random.IntN(3))
	claim := func() string { return fmt.Sprintf("claim-%d", random.IntN(3)) }
	switch random.IntN(10) {
	case 0, 1:
		return input{read: true, key: key}
	case 2:
		return input{claim: claim()}
	case 3:
		return input{listing: true}
	}
	req := store.WriteRequest{Key: key, Op: store.Op(1 + random.IntN(3)), Value: fmt.Appendf(nil, "%d-%d", client, i)}
	if random.IntN(3) == 0 {
		req.IfRevision = known
	}
	if req.Op != store.OpDelete && random.IntN(2) == 0 {
		req.Take = []string{claim()}
	}
	if req.Op == store.OpUpdate && random.IntN(3) == 0 {
		if free := claim(); !slices.Contains(req.Take, free) {
			req.Free = []string{free}
		}
	}
	return input{key: key, req: req}
}

func perform(t *testing.T, s store.Store, in input) (out output) {
	ctx := testContext(t)
	switch {
	case in.listing:
		var list store.ListResponse
		list, out.err = s.List(ctx, store.ListRequest{})
		out.revision = list.Revision
		for _, e := range list.Entries {
			out.keys += fmt.Sprintf("%s@%d ", e.Key, e.Revision)
		}
	case in.claim != "":
		out.owner, out.err = s.Reservation(ctx, in.claim)
	case in.read:
		out.entry, out.err = s.Get(ctx, in.key)
	default:
		out.entry, out.err = s.Write(ctx, in.req)
	}
	return out
}
