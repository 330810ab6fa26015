package badger

import (
	"reflect"
	"testing"

	"github.com/pintle-io/pintle/core/store"
)

func TestRecordsRoundTrip(t *testing.T) {
	for _, h := range []header{{}, {revision: 1 << 40, created: 3, parts: 4, claims: []string{"a", ""}}} {
		got, rest, err := decodeHeader(append(appendHeader(nil, h), "value"...))
		if err != nil || !reflect.DeepEqual(got, h) || string(rest) != "value" {
			t.Errorf("%+v came back as %+v, %q, %v", h, got, rest, err)
		}
	}
	r := batchRecord{first: 41, changes: []change{{store.EventCreated, "/a"}, {store.EventDeleted, "/b"}}}
	if got, err := decodeBatch(appendBatch(nil, r)); err != nil || !reflect.DeepEqual(got, r) || got.last() != 42 {
		t.Errorf("%+v came back as %+v, %v", r, got, err)
	}
	c := compaction{revision: 1 << 33, version: 5}
	if got, err := decodeCompaction(appendCompaction(nil, c)); err != nil || got != c {
		t.Errorf("%+v came back as %+v, %v", c, got, err)
	}
	if _, _, err := decodeHeader([]byte{9, 0, 0, 0, 0}); err == nil {
		t.Error("a record of version 9 was read")
	}
}

// FuzzRecords decodes what a disk may hold: it must fail and not panic, nor take
// the memory that a length claims.
func FuzzRecords(f *testing.F) {
	f.Add(appendHeader(nil, header{revision: 1, claims: []string{"x"}}))
	f.Add(appendBatch(nil, batchRecord{first: 4, changes: []change{{store.EventUpdated, "/k"}}}))
	f.Add(appendCompaction(nil, compaction{revision: 2, version: 1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, rest, err := decodeHeader(b); err == nil {
			again, same, err := decodeHeader(append(appendHeader(nil, h), rest...))
			if err != nil || !reflect.DeepEqual(again, h) || string(same) != string(rest) {
				t.Errorf("%+v came back as %+v, %v", h, again, err)
			}
		}
		if r, err := decodeBatch(b); err == nil {
			if again, err := decodeBatch(appendBatch(nil, r)); err != nil || !reflect.DeepEqual(again, r) {
				t.Errorf("%+v came back as %+v, %v", r, again, err)
			}
		}
		_, _ = decodeCompaction(b)
	})
}
