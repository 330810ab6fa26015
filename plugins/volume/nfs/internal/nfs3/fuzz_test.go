package nfs3

import (
	"testing"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/oncrpc"
)

// FuzzResults reads any bytes as every kind of result.
func FuzzResults(f *testing.F) {
	var e oncrpc.Encoder
	e.Bool(true)
	for range 21 {
		e.Uint32(1)
	}
	f.Add(e.Bytes())
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 1, '0'}) // its padding is missing
	f.Fuzz(func(t *testing.T, b []byte) {
		decoder := func() *oncrpc.Decoder { return oncrpc.NewDecoder(b) }
		d := decoder()
		if a := decodeAttributes(d); (a == nil) != (d.Err() != nil) {
			t.Fatalf("attributes %v, error %v", a, d.Err())
		}
		d = decoder()
		if h := decodeHandle(d); (h == "") != (d.Err() != nil) || len(h) > maxHandle {
			t.Fatalf("handle %q, error %v", h, d.Err())
		}
		decodeWeak(decoder())
		_, _ = decodeExports(decoder())
		for _, plus := range []bool{false, true} {
			l, err := decodeListing(decoder(), plus)
			if len(l.Entries) > len(b) || err != nil && l.Entries != nil {
				t.Fatalf("%d entries of %d bytes, error %v", len(l.Entries), len(b), err)
			}
		}
	})
}
