package badger

import (
	"slices"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/pintle-io/pintle/core/store"
)

const (
	// putOverhead is what one key and value costs in a batch beside its bytes.
	// Badger's own count is lower, and it bounds the number of entries to one
	// for each 96 bytes.
	putOverhead = 128
	// maxRecord bounds the record of a batch, which must not go to the value log.
	maxRecord = partSize
)

// batch is writes that become one transaction, and so are on disk together or
// not at all.
type batch struct {
	s    *Store
	base uint64 // revision that the batch builds on
	txn  *badgerdb.Txn
	// refuse is why the store takes no writes now; deletes are refused later.
	refuse, refuseDeletes error

	writes  []*write
	entries []store.Entry // their answers
	// late are writes that failed by what this batch does: they are answered
	// when that is on disk.
	late []lateAnswer

	puts       []*badgerdb.Entry // with a nil Value where the key is deleted
	events     []*store.Event
	record     batchRecord
	recordSize int
	size       int
	keys       map[string]struct{}
	// claims is what the batch does to claims: their new owners, or "".
	claims map[string]string
}

type lateAnswer struct {
	write *write
	err   error
}

func newBatch(s *Store) *batch {
	b := &batch{
		s:      s,
		base:   s.visible.Load(),
		keys:   make(map[string]struct{}),
		claims: make(map[string]string),
	}
	b.txn = s.db.NewTransactionAt(b.base, false)
	b.record.first = b.base + 1
	b.refuse, b.refuseDeletes = s.writable()
	return b
}

// add decides a write and answers it where it fails. It is false where the
// write has to wait for a later batch: this one has no room left or writes the
// key already. Badger keeps one value of a key in a transaction, and each
// revision's value must be kept.
func (b *batch) add(w *write) bool {
	if _, ok := b.keys[w.req.Key]; ok {
		return false
	}
	p, err := b.plan(w.req)
	if err == nil && len(b.writes) > 0 &&
		(b.size+p.size > b.s.opts.batchBytes() || b.recordSize+p.recordSize > maxRecord) {
		return false
	}
	if !w.state.CompareAndSwap(waiting, taken) {
		return true
	}
	switch {
	case err != nil && p.late:
		b.late = append(b.late, lateAnswer{w, err})
	case err != nil:
		w.finish(store.Entry{}, err)
	default:
		b.take(w, p)
	}
	return true
}

// plan is what a write will do.
type plan struct {
	kind     store.EventType
	key      string
	value    []byte // as kept in memory from here on
	previous store.Entry
	created  uint64
	revision uint64
	take     []string
	free     []string
	puts     []*badgerdb.Entry
	// late is set where a failure depends on an earlier write of the batch.
	late             bool
	size, recordSize int
}

func (p *plan) put(key, value []byte) {
	p.puts = append(p.puts, &badgerdb.Entry{Key: key, Value: value})
	p.size += len(key) + len(value) + putOverhead
}

// plan checks a write's preconditions against the newest state and the batch.
func (b *batch) plan(req store.WriteRequest) (*plan, error) {
	p := &plan{key: req.Key, revision: b.record.first + uint64(len(b.writes))}
	if req.Op == store.OpDelete && b.refuseDeletes != nil {
		return p, b.refuseDeletes
	}
	if req.Op != store.OpDelete && b.refuse != nil {
		return p, b.refuse
	}
	was, found, err := b.s.readEntry(b.txn, req.Key)
	if err != nil {
		return p, err
	}
	switch {
	case req.Op == store.OpCreate && found:
		return p, store.ErrExists
	case req.Op != store.OpCreate && !found:
		return p, store.ErrNotFound
	case req.Op != store.OpCreate && req.IfRevision != 0 && req.IfRevision != was.Revision:
		return p, &store.ConflictError{Entry: was.Entry, Expected: req.IfRevision}
	}
	p.previous = was.Entry
	claims, err := b.planClaims(p, req, was.claims)
	if err != nil {
		return p, err
	}

	h := header{revision: p.revision, created: was.Created, claims: claims}
	switch req.Op {
	case store.OpCreate:
		p.kind, h.created = store.EventCreated, p.revision
	case store.OpUpdate:
		p.kind = store.EventUpdated
	case store.OpDelete:
		p.kind = store.EventDeleted
	}
	p.created = h.created
	p.planValue(req, h, was.parts)
	for _, name := range p.take {
		p.put(claimKey(name), []byte(p.key))
	}
	for _, name := range p.free {
		p.put(claimKey(name), nil)
	}
	p.recordSize = len(p.key) + 8
	p.size += p.recordSize
	return p, nil
}

// planClaims returns the claims that the entry holds after the write.
func (b *batch) planClaims(p *plan, req store.WriteRequest, held []string) ([]string, error) {
	if req.Op == store.OpDelete {
		p.free = held
		return nil, nil
	}
	claims := make([]string, 0, len(held)+len(req.Take))
	for _, name := range held {
		if slices.Contains(req.Free, name) && !slices.Contains(req.Take, name) {
			p.free = append(p.free, name)
		} else {
			claims = append(claims, name)
		}
	}
	for _, name := range req.Take {
		if slices.Contains(claims, name) {
			continue
		}
		owner, inBatch := b.claims[name]
		if !inBatch {
			var err error
			if owner, err = readClaim(b.txn, name); err != nil {
				return nil, err
			}
		}
		if owner != "" {
			p.late = inBatch
			return nil, &store.ReservedError{Name: name, Owner: owner}
		}
		claims = append(claims, name)
		p.take = append(p.take, name)
	}
	if len(claims) > maxClaims {
		return nil, errTooManyClaims(req.Key, len(claims))
	}
	return claims, nil
}

// planValue puts the entry's record, and the parts of a large value, and
// removes parts that the value before had and this one has not.
func (p *plan) planValue(req store.WriteRequest, h header, hadParts int) {
	parts := 0
	switch {
	case req.Op == store.OpDelete:
		p.put(entryKey(p.key), nil)
	case len(req.Value) <= partSize:
		record := appendHeader(make([]byte, 0, headerRoom(h)+len(req.Value)), h)
		record = append(record, req.Value...)
		p.value = record[len(record)-len(req.Value):]
		p.put(entryKey(p.key), record)
	default:
		p.value = slices.Clone(req.Value)
		for part := range slices.Chunk(p.value, partSize) {
			p.put(partKey(p.key, parts), part)
			parts++
		}
		h.parts = parts
		p.put(entryKey(p.key), appendHeader(nil, h))
	}
	for n := parts; n < hadParts; n++ {
		p.put(partKey(p.key, n), nil)
	}
}

// headerRoom is the most that a header takes.
func headerRoom(h header) int {
	room := 1 + 4*10
	for _, c := range h.claims {
		room += len(c) + 5
	}
	return room
}

// take makes a plan part of the batch.
func (b *batch) take(w *write, p *plan) {
	b.writes = append(b.writes, w)
	b.puts = append(b.puts, p.puts...)
	b.size += p.size
	b.recordSize += p.recordSize
	b.keys[p.key] = struct{}{}
	for _, name := range p.free {
		b.claims[name] = ""
	}
	for _, name := range p.take {
		b.claims[name] = p.key
	}
	b.record.changes = append(b.record.changes, change{kind: p.kind, key: p.key})
	e := &store.Event{Type: p.kind, Key: p.key, Revision: p.revision, Value: p.value, Previous: p.previous.Value}
	b.events = append(b.events, e)
	answer := store.Entry{Key: p.key, Value: p.value, Revision: p.revision, Created: p.created}
	if p.kind == store.EventDeleted {
		answer.Value = p.previous.Value
	}
	b.entries = append(b.entries, answer)
}
