package saved

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/pintle-io/pintle/core/store"
	"github.com/pintle-io/pintle/core/store/internal/record"
)

const (
	magic  = "PINTLE-STORE-SNAPSHOT\n"
	format = 1

	frameStart = 1
	frameEntry = 2
	frameEnd   = 3

	// maxFrame is more than any entry takes; a length above it is damage.
	maxFrame = 128 << 20
)

// ErrDamaged is wrapped by the error of a saved store that is not whole.
var ErrDamaged = errors.New("what is to be restored is damaged")

// Entry is an entry with the claims that it holds.
type Entry struct {
	store.Entry
	Claims []string
}

// Writer writes a saved store. Errors are kept until Close.
type Writer struct {
	w       *bufio.Writer
	sum     hash.Hash
	err     error
	buf     []byte
	entries uint64
}

// NewWriter begins a saved store of a revision.
func NewWriter(w io.Writer, revision uint64) *Writer {
	x := &Writer{w: bufio.NewWriterSize(w, 64<<10), sum: sha256.New()}
	x.write([]byte(magic))
	x.frame(binary.AppendUvarint([]byte{frameStart, format}, revision))
	return x
}

// Entry adds an entry, and says whether it is worth to go on.
func (x *Writer) Entry(e Entry) bool {
	b := record.AppendString(append(x.buf[:0], frameEntry), e.Key)
	b = record.AppendUvarint(record.AppendUvarint(b, e.Revision), e.Created)
	b = record.AppendStrings(b, e.Claims)
	x.buf = append(b, e.Value...)
	x.frame(x.buf)
	x.entries++
	return x.err == nil
}

// Close ends the saved store.
func (x *Writer) Close() error {
	x.frame(binary.AppendUvarint([]byte{frameEnd}, x.entries))
	if x.err != nil {
		return x.err
	}
	if _, err := x.w.Write(x.sum.Sum(nil)); err != nil {
		return err
	}
	return x.w.Flush()
}

func (x *Writer) frame(b []byte) {
	x.write(binary.AppendUvarint(nil, uint64(len(b))))
	x.write(b)
}

func (x *Writer) write(b []byte) {
	if x.err == nil {
		x.sum.Write(b)
		_, x.err = x.w.Write(b)
	}
}

// Reader reads a saved store.
type Reader struct {
	// Revision is that at which it was saved.
	Revision uint64

	r       *bufio.Reader
	sum     hash.Hash
	entries uint64
}

// NewReader reads the beginning of a saved store.
func NewReader(r io.Reader) (*Reader, error) {
	x := &Reader{r: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	begin := make([]byte, len(magic))
	if _, err := io.ReadFull((*summed)(x), begin); err != nil || string(begin) != magic {
		return nil, fmt.Errorf("%w: it is not a saved store", ErrDamaged)
	}
	frame, err := x.frame()
	if err != nil {
		return nil, err
	}
	d := record.Decoder{Rest: frame}
	if kind := d.Byte(); kind != frameStart {
		return nil, fmt.Errorf("%w: it does not begin with its revision", ErrDamaged)
	}
	if f := d.Byte(); f != format {
		return nil, fmt.Errorf("the saved store has format %d, and this program knows format %d: restore it with the release that saved it", f, format)
	}
	x.Revision = d.Uvarint()
	if d.Err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, d.Err)
	}
	return x, nil
}

// Next returns the next entry. It is io.EOF after the last one, where all that
// was read proved whole.
func (x *Reader) Next() (Entry, error) {
	frame, err := x.frame()
	if err != nil {
		return Entry{}, err
	}
	d := record.Decoder{Rest: frame}
	switch kind := d.Byte(); kind {
	case frameEnd:
		if n := d.Uvarint(); n != x.entries {
			return Entry{}, fmt.Errorf("%w: it has %d entries, not %d", ErrDamaged, x.entries, n)
		}
		return Entry{}, x.end()
	case frameEntry:
	default:
		return Entry{}, fmt.Errorf("%w: unknown frame %d", ErrDamaged, kind)
	}
	var e Entry
	e.Key = d.String()
	e.Revision, e.Created = d.Uvarint(), d.Uvarint()
	e.Claims = d.Strings()
	e.Value = d.Rest
	if d.Err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrDamaged, d.Err)
	}
	x.entries++
	return e, nil
}

func (x *Reader) end() error {
	want := x.sum.Sum(nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(x.r, got); err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("%w: its checksum does not match", ErrDamaged)
	}
	return io.EOF
}

func (x *Reader) frame() ([]byte, error) {
	n, err := binary.ReadUvarint((*summed)(x))
	if err != nil {
		return nil, fmt.Errorf("%w: it ends too early", ErrDamaged)
	}
	if n == 0 || n > maxFrame {
		return nil, fmt.Errorf("%w: frame of %d bytes", ErrDamaged, n)
	}
	// The buffer grows with what is there, not with what a length claims.
	var b bytes.Buffer
	if _, err := io.CopyN(&b, (*summed)(x), int64(n)); err != nil {
		return nil, fmt.Errorf("%w: it ends too early", ErrDamaged)
	}
	return b.Bytes(), nil
}

// summed reads what the checksum covers.
type summed Reader

func (x *summed) Read(b []byte) (int, error) {
	n, err := x.r.Read(b)
	x.sum.Write(b[:n])
	return n, err
}

func (x *summed) ReadByte() (byte, error) {
	c, err := x.r.ReadByte()
	if err == nil {
		x.sum.Write([]byte{c})
	}
	return c, err
}
