package record

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// V1 begins each record, so that later layouts can be told apart.
const V1 = 1

// ErrMalformed is wrapped by the error of a record that can't be decoded.
var ErrMalformed = errors.New("malformed record")

// AppendUvarint appends a number.
func AppendUvarint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

// AppendString appends a string with its length.
func AppendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendStrings appends strings with their number.
func AppendStrings(b []byte, all []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(all)))
	for _, s := range all {
		b = AppendString(b, s)
	}
	return b
}

// Decoder reads a record. After its first failure it yields zeros.
type Decoder struct {
	// Rest is what was not read yet.
	Rest []byte
	Err  error
}

// Fail makes the record malformed.
func (d *Decoder) Fail() {
	if d.Err == nil {
		d.Err = ErrMalformed
	}
	d.Rest = nil
}

// Version reads a record's first byte, which must be V1.
func (d *Decoder) Version() {
	if v := d.Byte(); d.Err == nil && v != V1 {
		d.Fail()
		d.Err = fmt.Errorf("%w: version %d", ErrMalformed, v)
	}
}

// Byte reads a byte.
func (d *Decoder) Byte() byte {
	if len(d.Rest) == 0 {
		d.Fail()
		return 0
	}
	v := d.Rest[0]
	d.Rest = d.Rest[1:]
	return v
}

// Uvarint reads a number.
func (d *Decoder) Uvarint() uint64 {
	v, n := binary.Uvarint(d.Rest)
	if n <= 0 {
		d.Fail()
		return 0
	}
	d.Rest = d.Rest[n:]
	return v
}

// Count reads the number of items that follow, of at least so many bytes each.
func (d *Decoder) Count(atLeast int) int {
	n := d.Uvarint()
	if n > uint64(len(d.Rest)/atLeast) {
		d.Fail()
		return 0
	}
	return int(n)
}

// String reads a string.
func (d *Decoder) String() string {
	n := d.Count(1)
	if d.Err != nil {
		return ""
	}
	s := string(d.Rest[:n])
	d.Rest = d.Rest[n:]
	return s
}

// Strings reads strings with their number, nil for none.
func (d *Decoder) Strings() (all []string) {
	for range d.Count(1) {
		all = append(all, d.String())
	}
	return all
}
