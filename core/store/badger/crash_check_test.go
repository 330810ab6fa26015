package badger_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pintle-io/pintle/core/store"
)

// crashHistory is what a store must hold, as told by its events so far.
type crashHistory struct {
	revision uint64
	entries  map[string]crashEntry
}

type crashEntry struct {
	store.Entry
	claims []string
}

func newCrashHistory() *crashHistory {
	return &crashHistory{entries: make(map[string]crashEntry)}
}

// span is during which revisions something was so: from <= revision < to.
type span struct {
	from, to uint64
	revision uint64 // of the entry, 0 for none
	owner    string // of the claim, "" for nobody
}

// crashCall is a call of the child with what is known about it.
type crashCall struct {
	line
	answer *line
	// lo and hi bound the revision at which it may have been decided.
	lo, hi uint64
}

// check takes the store from where the last check left it through the events
// since then, and finds each answer in what they say.
func (h *crashHistory) check(t *testing.T, s store.Store, lines []line) error {
	events := newestEvents(t, s, h.revision)
	start, end := h.revision, h.revision+uint64(len(events))
	calls, order := readCalls(lines, start, end)
	writes := make(map[string]*crashCall) // by ID
	deletes := make(map[uint64]*crashCall)
	for _, c := range order {
		if c.Write == nil {
			continue
		}
		writes[c.ID] = c
		if c.Write.Op == store.OpDelete && c.answer != nil && c.answer.Refusal == "" {
			deletes[c.answer.Revision] = c
		}
	}

	entries := make(map[string][]span)
	claims := make(map[string][]span)
	for key, e := range h.entries {
		entries[key] = []span{{from: start, to: end + 1, revision: e.Revision}}
		for _, name := range e.claims {
			claims[name] = []span{{from: start, to: end + 1, owner: key}}
		}
	}
	made := make(map[string]uint64) // revision by the write's ID
	for i, e := range events {
		if e.Revision != start+uint64(i)+1 {
			return fmt.Errorf("revision %d follows %d", e.Revision, start+uint64(i))
		}
		c := writes[strings.SplitN(string(e.Value), " ", 2)[0]]
		if e.Type == store.EventDeleted {
			c = deletes[e.Revision]
			if c == nil {
				c = unansweredDelete(order, made, e.Key)
			}
		}
		if c == nil || c.Write.Key != e.Key || made[c.ID] != 0 {
			return fmt.Errorf("revision %d of %s was written by nobody, or twice", e.Revision, e.Key)
		}
		made[c.ID] = e.Revision
		if err := h.apply(e, c); err != nil {
			return fmt.Errorf("revision %d: %w", e.Revision, err)
		}
		change(entries, e.Key, span{from: e.Revision, to: end + 1, revision: h.entries[e.Key].Revision})
		for name := range claims {
			if last := claims[name][len(claims[name])-1]; last.owner == e.Key && !slices.Contains(h.entries[e.Key].claims, name) {
				change(claims, name, span{from: e.Revision, to: end + 1})
			}
		}
		for _, name := range h.entries[e.Key].claims {
			if spans := claims[name]; len(spans) == 0 || spans[len(spans)-1].owner != e.Key {
				change(claims, name, span{from: e.Revision, to: end + 1, owner: e.Key})
			}
		}
	}

	bound(lines, calls, made, end)
	for _, c := range order {
		if err := explain(c, made, events, start, entries, claims); err != nil {
			return fmt.Errorf("%+v answered %+v, possible from %d to %d: %w", c.line, c.answer, c.lo, c.hi, err)
		}
	}
	if err := checkWatched(lines, events, start); err != nil {
		return err
	}
	return h.compare(t, s)
}

func change(of map[string][]span, name string, next span) {
	spans := of[name]
	if n := len(spans); n > 0 {
		spans[n-1].to = next.from
	}
	of[name] = append(spans, next)
}

func readCalls(lines []line, start, end uint64) (map[string]*crashCall, []*crashCall) {
	calls := make(map[string]*crashCall)
	var order []*crashCall
	for i, l := range lines {
		switch l.Kind {
		case "call":
			c := &crashCall{line: l, lo: start, hi: end}
			calls[l.ID] = c
			order = append(order, c)
		case "answer":
			calls[l.ID].answer = &lines[i]
		}
	}
	return calls, order
}

// bound narrows when each call can have been decided: not before what was known
// when it was made, and before what was only asked for when it was answered.
func bound(lines []line, calls map[string]*crashCall, made map[string]uint64, end uint64) {
	var known uint64
	for _, l := range lines {
		c := calls[l.ID]
		switch l.Kind {
		case "open", "event":
			known = max(known, l.Revision)
		case "call":
			c.lo = max(c.lo, known)
		case "answer":
			if c.Write != nil && l.Refusal == "" {
				known = max(known, l.Revision)
			}
		}
	}
	next := end
	for _, l := range slices.Backward(lines) {
		c := calls[l.ID]
		switch {
		case l.Kind == "answer":
			c.hi = min(c.hi, next)
		case l.Kind == "call" && made[l.ID] != 0:
			next = min(next, made[l.ID]-1)
		}
	}
}

// apply makes an event's change, whose write must have been right to make it.
func (h *crashHistory) apply(e *store.Event, c *crashCall) error {
	was, found := h.entries[e.Key]
	req := c.Write
	want := map[store.Op]store.EventType{store.OpCreate: store.EventCreated, store.OpUpdate: store.EventUpdated, store.OpDelete: store.EventDeleted}[req.Op]
	switch {
	case e.Type != want:
		return fmt.Errorf("event of type %d for operation %d", e.Type, req.Op)
	case found == (req.Op == store.OpCreate):
		return fmt.Errorf("operation %d of %s, there: %v", req.Op, e.Key, found)
	case found && string(e.Previous) != string(was.Value):
		return fmt.Errorf("%s changed from what it was not", e.Key)
	case req.Op != store.OpCreate && req.IfRevision != 0 && req.IfRevision != was.Revision:
		return fmt.Errorf("%s was at %d, and %d was the condition", e.Key, was.Revision, req.IfRevision)
	}
	h.revision = e.Revision
	if req.Op == store.OpDelete {
		delete(h.entries, e.Key)
		return nil
	}
	now := crashEntry{Entry: store.Entry{Key: e.Key, Value: e.Value, Revision: e.Revision, Created: was.Created}}
	if req.Op == store.OpCreate {
		now.Created = e.Revision
	}
	for _, name := range was.claims {
		if !slices.Contains(req.Free, name) || slices.Contains(req.Take, name) {
			now.claims = append(now.claims, name)
		}
	}
	for _, name := range req.Take {
		for key, other := range h.entries {
			if key != e.Key && slices.Contains(other.claims, name) {
				return fmt.Errorf("%s took %s from %s", e.Key, name, key)
			}
		}
		if !slices.Contains(now.claims, name) {
			now.claims = append(now.claims, name)
		}
	}
	h.entries[e.Key] = now
	return nil
}

func unansweredDelete(order []*crashCall, made map[string]uint64, key string) *crashCall {
	for _, c := range order {
		if c.Write != nil && c.Write.Op == store.OpDelete && c.Write.Key == key && c.answer == nil && made[c.ID] == 0 {
			return c
		}
	}
	return nil
}

// explain finds a moment at which the answer was right.
func explain(c *crashCall, made map[string]uint64, events []*store.Event, start uint64, entries, claims map[string][]span) error {
	at := made[c.ID]
	switch {
	case c.Watch || c.answer == nil:
		return nil
	case c.Write != nil && c.answer.Refusal == "":
		if at != c.answer.Revision {
			return fmt.Errorf("it was acknowledged and is at %d", at)
		}
		if at <= c.lo || at > c.hi {
			return fmt.Errorf("it is out of order")
		}
		return nil
	case at != 0:
		return fmt.Errorf("it was refused and made at %d", at)
	}
	key := c.Get
	if c.Write != nil {
		key = c.Write.Key
	}
	was := func(spans []span, ok func(span) bool) error {
		if len(spans) == 0 || spans[0].from > start {
			spans = append([]span{{to: firstFrom(spans, c.hi+1), from: start}}, spans...)
		}
		for _, x := range spans {
			if x.from <= c.hi && x.to > c.lo && ok(x) {
				return nil
			}
		}
		return fmt.Errorf("it was never so: %+v", spans)
	}
	switch c.answer.Refusal {
	case "": // of a get
		return was(entries[key], func(x span) bool { return x.revision == c.answer.Revision })
	case "exists":
		return was(entries[key], func(x span) bool { return x.revision != 0 })
	case "not found":
		return was(entries[key], func(x span) bool { return x.revision == 0 })
	case "conflict":
		return was(entries[key], func(x span) bool { return x.revision == c.answer.Revision && x.revision != c.Write.IfRevision })
	case "reserved":
		return was(claims[c.answer.Claim], func(x span) bool { return x.owner == c.answer.Owner && x.owner != key })
	}
	return fmt.Errorf("unknown refusal %q", c.answer.Refusal)
}

func firstFrom(spans []span, otherwise uint64) uint64 {
	if len(spans) > 0 {
		return spans[0].from
	}
	return otherwise
}

// checkWatched compares what the child's watchers saw with the events: all
// after where each began, in order, without a gap.
func checkWatched(lines []line, events []*store.Event, start uint64) error {
	next := make(map[string]uint64)
	for _, l := range lines {
		switch {
		case l.Kind == "call" && l.Watch:
			next[l.ID] = l.After + 1
		case l.Kind == "event":
			if l.Revision != next[l.ID] {
				return fmt.Errorf("watch %s saw revision %d where %d was next", l.ID, l.Revision, next[l.ID])
			}
			if i := l.Revision - start - 1; i >= uint64(len(events)) || events[i].Key != l.Key {
				return fmt.Errorf("watch %s saw revision %d change %s, which is not so", l.ID, l.Revision, l.Key)
			}
			next[l.ID]++
		}
	}
	return nil
}

// compare checks that the store holds what its events say.
func (h *crashHistory) compare(t *testing.T, s store.Store) error {
	list, err := s.List(t.Context(), store.ListRequest{})
	if err != nil {
		return err
	}
	if list.Revision != h.revision || len(list.Entries) != len(h.entries) {
		return fmt.Errorf("%d entries at revision %d, want %d at %d", len(list.Entries), list.Revision, len(h.entries), h.revision)
	}
	want := make(map[string]string)
	for _, e := range list.Entries {
		w := h.entries[e.Key]
		if string(e.Value) != string(w.Value) || e.Revision != w.Revision || e.Created != w.Created {
			return fmt.Errorf("%s is at %d created %d, want %d created %d", e.Key, e.Revision, e.Created, w.Revision, w.Created)
		}
		for _, name := range w.claims {
			want[name] = e.Key
		}
	}
	got, err := s.Reservations(t.Context(), "")
	if err != nil {
		return err
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("reservations are %v, want %v", got, want)
	}
	return nil
}
