package badger

import (
	"encoding/binary"

	"github.com/pintle-io/pintle/core/store"
	"github.com/pintle-io/pintle/core/store/internal/record"
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
	// partSize is the most that one Badger value takes, so that none ever goes
	// to the value log: one file less to sync, collect and run out of space in.
	partSize = 512 << 10
	// batchesPerKey is how many revisions share the key of their batch records,
	// as versions of it. A key per batch would leave a tombstone per batch
	// behind; one key for all would have to fit in one table.
	batchesPerKey = 1 << 12
)

var compactedKey = []byte{metaPrefix, 'c'}

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
	b = append(b, record.V1)
	b = record.AppendUvarint(b, h.revision)
	b = record.AppendUvarint(b, h.created)
	b = record.AppendUvarint(b, uint64(h.parts))
	return record.AppendStrings(b, h.claims)
}

// decodeHeader returns the header of an entry's record and what follows it.
func decodeHeader(b []byte) (h header, rest []byte, err error) {
	d := record.Decoder{Rest: b}
	d.Version()
	h.revision, h.created = d.Uvarint(), d.Uvarint()
	h.parts = int(d.Uvarint())
	h.claims = d.Strings()
	return h, d.Rest, d.Err
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
	b = append(b, record.V1)
	b = record.AppendUvarint(b, r.first)
	b = record.AppendUvarint(b, uint64(len(r.changes)))
	for _, c := range r.changes {
		b = record.AppendString(append(b, byte(c.kind)), c.key)
	}
	return b
}

func decodeBatch(b []byte) (batchRecord, error) {
	d := record.Decoder{Rest: b}
	d.Version()
	r := batchRecord{first: d.Uvarint()}
	n := d.Count(2)
	r.changes = make([]change, 0, n)
	for range n {
		c := change{kind: store.EventType(d.Byte()), key: d.String()}
		if c.kind < store.EventCreated || c.kind > store.EventDeleted {
			d.Fail()
		}
		r.changes = append(r.changes, c)
	}
	if len(d.Rest) > 0 {
		d.Fail()
	}
	return r, d.Err
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
	return record.AppendUvarint(record.AppendUvarint(append(b, record.V1), c.revision), c.version)
}

func decodeCompaction(b []byte) (compaction, error) {
	d := record.Decoder{Rest: b}
	d.Version()
	c := compaction{revision: d.Uvarint(), version: d.Uvarint()}
	return c, d.Err
}
