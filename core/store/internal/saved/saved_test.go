package saved

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/pintle-io/pintle/core/store"
)

func write(t testing.TB, revision uint64, entries []Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, revision)
	for _, e := range entries {
		w.Entry(e)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(b []byte) (revision uint64, entries []Entry, err error) {
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		return 0, nil, err
	}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r.Revision, entries, nil
		}
		if err != nil {
			return 0, nil, err
		}
		entries = append(entries, e)
	}
}

var examples = []Entry{
	{Entry: store.Entry{Key: "/a", Value: []byte("one"), Revision: 7, Created: 3}, Claims: []string{"ip/1", "port/80"}},
	{Entry: store.Entry{Key: "/b\x00", Value: []byte{}, Revision: 9, Created: 9}},
	{Entry: store.Entry{Key: "/c", Value: bytes.Repeat([]byte("x"), 1<<20), Revision: 12, Created: 11}},
}

func TestRoundTrip(t *testing.T) {
	for n := range len(examples) + 1 {
		revision, entries, err := read(write(t, 12, examples[:n]))
		if err != nil || revision != 12 || len(entries) != n {
			t.Fatalf("%d entries at revision %d came back, want %d: %v", len(entries), revision, n, err)
		}
		for i, e := range entries {
			if !reflect.DeepEqual(e, examples[i]) {
				t.Errorf("entry %d is %+v, want %+v", i, e, examples[i])
			}
		}
	}
}

// TestDamage changes and cuts a saved store at each byte.
func TestDamage(t *testing.T) {
	good := write(t, 12, examples[:2])
	for i := range good {
		if _, _, err := read(good[:i]); err == nil {
			t.Errorf("cut at %d of %d, it was read", i, len(good))
		}
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if _, _, err := read(bad); err == nil {
			t.Errorf("changed at %d of %d, it was read", i, len(good))
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(write(f, 12, examples[:2]))
	f.Add(write(f, 0, nil))
	f.Add([]byte(magic + "\x03\x01\x01\x05"))
	f.Fuzz(func(t *testing.T, b []byte) {
		revision, entries, err := read(b)
		if err != nil {
			return
		}
		// What is read can be written, and is then read the same.
		again, same, err := read(write(t, revision, entries))
		if err != nil || again != revision || !reflect.DeepEqual(same, entries) {
			t.Errorf("%d entries at %d came back as %d at %d: %v", len(entries), revision, len(same), again, err)
		}
	})
}
