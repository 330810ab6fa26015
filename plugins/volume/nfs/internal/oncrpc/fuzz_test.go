package oncrpc

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzReply reads what a server sent as a stream: it fails or returns, within
// the bounds.
func FuzzReply(f *testing.F) {
	var ok Encoder
	for _, v := range []uint32{lastFragment | 28, 7, messageOK, 0, authNone, 0, 0, 42} {
		ok.Uint32(v)
	}
	f.Add(ok.Bytes())
	f.Add([]byte{0, 0, 0, 0, 0x80, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, stream []byte) {
		record, err := readRecord(bytes.NewReader(stream))
		if err != nil {
			return
		}
		if len(record) > maxRecord {
			t.Fatalf("a record of %d bytes", len(record))
		}
		d := NewDecoder(record)
		d.Uint32()
		d, err = decodeReply(d)
		var refused *Refused
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.As(err, &refused) {
				t.Fatalf("an error of no class: %v", err)
			}
			return
		}
		d.Bool()
		_ = d.String(16)
		if d.Err() == nil && len(d.buf) > len(record) {
			t.Fatal("more is left than there was")
		}
	})
}
