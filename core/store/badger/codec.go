package badger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pintle-io/pintle/core/store"
)

// What is kept under which key of Badger. The version of everything that a
// batch writes is the batch's last revision.
//
//	e <key>                    record of an entry: its header and value, or of
//	                           a large one its header and the number of parts
//	p <len(key) u32> <key> <n u16>  part n of a large value
//	r <claim>                  key of the entry that holds the claim
//	b <revision/batchesPerKey u64>  record of a batch: what it changed
//	m <name>                   the store's own state
const (
	entryPrefix = 'e'
	partPrefix  = 'p'
	claimPrefix = 'r'
	batchPrefix = 'b'
	metaPrefix  = 'm'
)

const (
	// recordV1 begins each record, so that later layouts can be told apart.
	recordV1 = 1
	// partSize is the most that one Badger value takes, so that none ever goes
	// to the value log: one file less to sync, collect and run out of space in.
	partSize = 512 << 10
	// batchesPerKey is how many revisions share the key of their batch records,
	// as versions of it. A key per batch would leave a tombstone per batch
	// behind; one key for all would have to fit in one table.
	batchesPerKey = 1 << 12
)

var compactedKey = []byte{metaPrefix, 'c'}

var errMalformed = errors.New("malformed record")

func entryKey(key string) []byte  { return append([]byte{entryPrefix}, key...) }
func claimKey(name string) []byte { return append([]byte{claimPrefix}, name...) }

func partKey(key string, n int) []byte {
	b := make([]byte, 0, 1+4+len(key)+2)
	b = binary.BigEndian.AppendUint32(append(b, partPrefix), uint32(len(key)))
	return binary.BigEndian.AppendUint16(append(b, key...), uint16(n))
}

func batchKey(revision uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{batchPrefix}, revision/batchesPerKey)
}

// header is what an entry has beside its key and value.
type header struct {
	revision, created uint64
	// parts is how many parts hold the value, 0 where the record does.
	parts  int
	claims []string
}

func appendHeader(b []byte, h header) []byte {
	b = append(b, recordV1)
	b = binary.AppendUvarint(b, h.revision)
	b = binary.AppendUvarint(b, h.created)
	b = binary.AppendUvarint(b, uint64(h.parts))
	b = binary.AppendUvarint(b, uint64(len(h.claims)))
	for _, c := range h.claims {
		b = appendString(b, c)
	}
	return b
}

// decodeHeader returns the header of an entry's record and what follows it.
func decodeHeader(record []byte) (h header, rest []byte, err error) {
	d := decoder{b: record}
	d.version()
	h.revision, h.created = d.uvarint(), d.uvarint()
	h.parts = int(d.uvarint())
	n := d.count(1)
	for range n {
		h.claims = append(h.claims, d.string())
	}
	return h, d.b, d.err
}

// batchRecord is what a batch changed: the revisions first, first+1, and so on.
type batchRecord struct {
	first   uint64
	changes []change
}

type change struct {
	kind store.EventType
	key  string
}

func (r batchRecord) last() uint64 { return r.first + uint64(len(r.changes)) - 1 }

func appendBatch(b []byte, r batchRecord) []byte {
	b = append(b, recordV1)
	b = binary.AppendUvarint(b, r.first)
	b = binary.AppendUvarint(b, uint64(len(r.changes)))
	for _, c := range r.changes {
		b = appendString(append(b, byte(c.kind)), c.key)
	}
	return b
}

func decodeBatch(record []byte) (batchRecord, error) {
	d := decoder{b: record}
	d.version()
	r := batchRecord{first: d.uvarint()}
	n := d.count(2)
	r.changes = make([]change, 0, n)
	for range n {
		c := change{kind: store.EventType(d.byte()), key: d.string()}
		if c.kind < store.EventCreated || c.kind > store.EventDeleted {
			d.fail()
		}
		r.changes = append(r.changes, c)
	}
	if len(d.b) > 0 {
		d.fail()
	}
	return r, d.err
}

// compaction is how far history was given up.
type compaction struct {
	// revision is the oldest that can be listed, or watched from.
	revision uint64
	// version is that of Badger below which superseded versions may go: the
	// last batch that is complete at revision.
	version uint64
}

func appendCompaction(b []byte, c compaction) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(append(b, recordV1), c.revision), c.version)
}

func decodeCompaction(record []byte) (compaction, error) {
	d := decoder{b: record}
	d.version()
	c := compaction{revision: d.uvarint(), version: d.uvarint()}
	return c, d.err
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoder reads a record; after its first failure it yields zeros.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = errMalformed
	}
	d.b = nil
}

func (d *decoder) version() {
	if v := d.byte(); d.err == nil && v != recordV1 {
		d.fail()
		d.err = fmt.Errorf("%w: version %d", errMalformed, v)
	}
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads the number of items of at least a size that follow.
func (d *decoder) count(atLeast int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/atLeast) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) string() string {
	n := d.count(1)
	if d.err != nil {
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}
