package oncrpc

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// unit is the size that everything is padded to, RFC 4506 section 3.
const unit = 4

// ErrMalformed is the class of every failure to read what a server sent.
var ErrMalformed = errors.New("malformed reply")

// Encoder appends values in external data representation.
type Encoder struct{ buf []byte }

// Bytes returns what was encoded.
func (e *Encoder) Bytes() []byte { return e.buf }

func (e *Encoder) Uint32(v uint32) { e.buf = binary.BigEndian.AppendUint32(e.buf, v) }
func (e *Encoder) Uint64(v uint64) { e.buf = binary.BigEndian.AppendUint64(e.buf, v) }

func (e *Encoder) Bool(v bool) {
	if v {
		e.Uint32(1)
	} else {
		e.Uint32(0)
	}
}

// Opaque appends bytes with their length.
func (e *Encoder) Opaque(b []byte) {
	e.Uint32(uint32(len(b)))
	e.Fixed(b)
}

// Fixed appends bytes whose length both sides know.
func (e *Encoder) Fixed(b []byte) {
	e.buf = append(e.buf, b...)
	e.buf = append(e.buf, make([]byte, padding(len(b)))...)
}

func (e *Encoder) String(s string) {
	e.Uint32(uint32(len(s)))
	e.buf = append(e.buf, s...)
	e.buf = append(e.buf, make([]byte, padding(len(s)))...)
}

func padding(n int) int { return -n & (unit - 1) }

// Decoder reads values. After the first failure every value is zero and Err
// says what was wrong, so that callers check once, at the end.
type Decoder struct {
	buf []byte
	err error
}

// NewDecoder reads b, which stays the decoder's.
func NewDecoder(b []byte) *Decoder { return &Decoder{buf: b} }

// Err is the first failure.
func (d *Decoder) Err() error { return d.err }

// Fail makes the value that was just read a failure.
func (d *Decoder) Fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	d.buf = nil
}

func (d *Decoder) take(n int) []byte {
	if d.err == nil && n > len(d.buf) {
		d.Fail("%d bytes are missing", n-len(d.buf))
	}
	if d.err != nil {
		return nil
	}
	b := d.buf[:n:n]
	d.buf = d.buf[n:]
	return b
}

func (d *Decoder) Uint32() uint32 {
	b := d.take(4)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func (d *Decoder) Uint64() uint64 {
	b := d.take(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func (d *Decoder) Bool() bool {
	switch v := d.Uint32(); v {
	case 0:
		return false
	case 1:
		return true
	default:
		d.Fail("%d is no boolean", v)
		return false
	}
}

// Fixed returns n bytes of the decoder's buffer.
func (d *Decoder) Fixed(n int) []byte {
	b := d.take(n)
	d.take(padding(n))
	if d.err != nil {
		return nil
	}
	return b
}

// Opaque returns a slice of the decoder's buffer. More than limit bytes are a
// failure.
func (d *Decoder) Opaque(limit int) []byte {
	n := d.Uint32()
	if uint64(n) > uint64(limit) {
		d.Fail("%d bytes where at most %d are allowed", n, limit)
	}
	if d.err != nil {
		return nil
	}
	return d.Fixed(int(n))
}

func (d *Decoder) String(limit int) string { return string(d.Opaque(limit)) }
