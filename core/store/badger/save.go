package badger

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/pintle-io/pintle/core/store"
)

// A saved store is snapshotMagic, frames of a uvarint length and as many bytes,
// and the SHA-256 of all before it. The frames are the revision, the entries in
// key order with the claims that they hold, and the number of entries.
const (
	snapshotMagic  = "PINTLE-STORE-SNAPSHOT\n"
	snapshotFormat = 1

	frameStart = 1
	frameEntry = 2
	frameEnd   = 3

	maxFrame = 128 << 20
)

// Save implements store.Store. Restore reads what it writes.
func (s *Store) Save(ctx context.Context, w io.Writer) (revision uint64, err error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	revision = s.visible.Load()
	snap, err := s.snapshot(ctx, revision, "")
	if err != nil {
		return 0, fmt.Errorf("saving the store in %s: %w", s.opts.Dir, err)
	}
	defer snap.close()

	out := newFrameWriter(w)
	out.frame(binary.AppendUvarint([]byte{frameStart, snapshotFormat}, revision))
	var entries uint64
	var buf []byte
	err = snap.scan("", func(e kept) bool {
		h := header{revision: e.Revision, created: e.Created, claims: e.claims}
		buf = appendHeader(appendString(append(buf[:0], frameEntry), e.Key), h)
		buf = append(buf, e.Value...)
		out.frame(buf)
		entries++
		return out.err == nil
	})
	out.frame(binary.AppendUvarint([]byte{frameEnd}, entries))
	if err := errors.Join(err, out.close()); err != nil {
		return 0, fmt.Errorf("saving the store in %s: %w", s.opts.Dir, err)
	}
	return revision, nil
}

// Restore makes a store in an empty directory from what Save wrote, and returns
// its revision. History begins there: nothing older can be listed or watched.
// What it read is checked as a whole before the directory becomes a store, so a
// failed one leaves none behind.
func Restore(ctx context.Context, opts Options, r io.Reader) (revision uint64, err error) {
	opts, err = opts.withDefaults()
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return 0, fmt.Errorf("restoring a store to %s: %w", opts.Dir, err)
	}
	lockFile, err := lock(opts.Dir)
	if err != nil {
		return 0, err
	}
	defer lockFile.Close()
	if _, exists, err := readStamp(opts.Dir); err != nil || exists {
		return 0, errors.Join(err, fmt.Errorf("%s holds a store already: restore to an empty directory", opts.Dir))
	}
	if err := mustBeEmpty(opts.Dir); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(filepath.Join(opts.Dir, dbName)))
		}
	}()
	if revision, err = fill(ctx, opts, r); err != nil {
		return 0, fmt.Errorf("restoring a store to %s: %w", opts.Dir, err)
	}
	if err := writeStamp(opts.Dir, revision); err != nil {
		return 0, fmt.Errorf("restoring a store to %s: %w", opts.Dir, err)
	}
	return revision, nil
}

// fill makes Badger's part of a store of a saved one.
func fill(ctx context.Context, opts Options, r io.Reader) (revision uint64, err error) {
	in, err := newFrameReader(r)
	if err != nil {
		return 0, err
	}
	if revision, err = in.start(); err != nil {
		return 0, err
	}
	db, err := openBadger(opts)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	into := restorer{db: db, revision: revision, limit: opts.batchBytes()}
	defer into.discard()
	var entries uint64
	for ; ; entries++ {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		frame, err := in.frame()
		if err != nil {
			return 0, err
		}
		if frame[0] == frameEnd {
			n, _ := binary.Uvarint(frame[1:])
			if n != entries {
				return 0, fmt.Errorf("%w: it has %d entries, not %d", errBadSnapshot, entries, n)
			}
			break
		}
		if err := into.entry(frame, opts); err != nil {
			return 0, err
		}
	}
	if err := in.checksum(); err != nil {
		return 0, err
	}
	if revision == 0 {
		return 0, nil
	}
	return revision, into.finish()
}

// restorer writes entries in transactions, all under the one revision.
type restorer struct {
	db       *badgerdb.DB
	revision uint64
	limit    int
	txn      *badgerdb.Txn
	size     int
}

func (x *restorer) entry(frame []byte, opts Options) error {
	d := decoder{b: frame}
	if kind := d.byte(); kind != frameEntry {
		return fmt.Errorf("%w: unknown frame %d", errBadSnapshot, kind)
	}
	key := d.string()
	if d.err != nil {
		return fmt.Errorf("%w: %w", errBadSnapshot, d.err)
	}
	h, value, err := decodeHeader(d.b)
	if err != nil {
		return fmt.Errorf("%w: %w", errBadSnapshot, err)
	}
	if len(value) > opts.MaxValueSize {
		return fmt.Errorf("entry %s: %w: restore with a higher limit", key, &store.TooLargeError{Size: len(value), Limit: opts.MaxValueSize})
	}
	p := &plan{key: key, revision: h.revision}
	p.planValue(store.WriteRequest{Op: store.OpCreate, Value: value}, h, 0)
	for _, name := range h.claims {
		p.put(claimKey(name), []byte(key))
	}
	if x.size+p.size > x.limit {
		if err := x.commit(); err != nil {
			return err
		}
	}
	for _, put := range p.puts {
		if err := x.put(put.Key, put.Value); err != nil {
			return err
		}
	}
	x.size += p.size
	return nil
}

func (x *restorer) put(key, value []byte) error {
	if x.txn == nil {
		x.txn = x.db.NewTransactionAt(x.revision, true)
	}
	return x.txn.Set(key, value)
}

func (x *restorer) commit() error {
	if x.txn == nil {
		return nil
	}
	err := x.txn.CommitAt(x.revision, nil)
	x.txn, x.size = nil, 0
	return err
}

func (x *restorer) discard() {
	if x.txn != nil {
		x.txn.Discard()
	}
}

// finish makes the revision the store's newest and its oldest.
func (x *restorer) finish() error {
	return errors.Join(
		x.put(batchKey(x.revision), appendBatch(nil, batchRecord{first: x.revision + 1})),
		x.put(compactedKey, appendCompaction(nil, compaction{revision: x.revision, version: x.revision})),
		x.commit(),
	)
}

var errBadSnapshot = errors.New("what is to be restored is damaged")

type frameWriter struct {
	w   *bufio.Writer
	sum interface {
		io.Writer
		Sum([]byte) []byte
	}
	err error
}

func newFrameWriter(w io.Writer) *frameWriter {
	f := &frameWriter{w: bufio.NewWriterSize(w, 64<<10), sum: sha256.New()}
	f.write([]byte(snapshotMagic))
	return f
}

func (f *frameWriter) write(b []byte) {
	if f.err == nil {
		f.sum.Write(b)
		_, f.err = f.w.Write(b)
	}
}

func (f *frameWriter) frame(b []byte) {
	f.write(binary.AppendUvarint(nil, uint64(len(b))))
	f.write(b)
}

func (f *frameWriter) close() error {
	if f.err != nil {
		return f.err
	}
	f.w.Write(f.sum.Sum(nil))
	return f.w.Flush()
}

type frameReader struct {
	r   *bufio.Reader
	sum interface {
		io.Writer
		Sum([]byte) []byte
	}
	buf []byte
}

func newFrameReader(r io.Reader) (*frameReader, error) {
	f := &frameReader{r: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	magic := make([]byte, len(snapshotMagic))
	if _, err := io.ReadFull(f, magic); err != nil || string(magic) != snapshotMagic {
		return nil, fmt.Errorf("%w: it is not a saved store", errBadSnapshot)
	}
	return f, nil
}

// Read and ReadByte are of what the checksum covers.
func (f *frameReader) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	f.sum.Write(b[:n])
	return n, err
}

func (f *frameReader) ReadByte() (byte, error) {
	c, err := f.r.ReadByte()
	if err == nil {
		f.sum.Write([]byte{c})
	}
	return c, err
}

// frame returns the next frame, which is valid until the one after it.
func (f *frameReader) frame() ([]byte, error) {
	n, err := binary.ReadUvarint(f)
	if err != nil {
		return nil, fmt.Errorf("%w: it ends too early", errBadSnapshot)
	}
	if n == 0 || n > maxFrame {
		return nil, fmt.Errorf("%w: frame of %d bytes", errBadSnapshot, n)
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, f, int64(n)); err != nil {
		return nil, fmt.Errorf("%w: it ends too early", errBadSnapshot)
	}
	return b.Bytes(), nil
}

func (f *frameReader) start() (revision uint64, err error) {
	frame, err := f.frame()
	if err != nil {
		return 0, err
	}
	d := decoder{b: frame}
	if kind := d.byte(); kind != frameStart {
		return 0, fmt.Errorf("%w: it does not begin with its revision", errBadSnapshot)
	}
	if format := d.byte(); format != snapshotFormat {
		return 0, fmt.Errorf("the saved store has format %d, and this program knows format %d: restore it with the release that saved it", format, snapshotFormat)
	}
	revision = d.uvarint()
	if d.err != nil {
		return 0, fmt.Errorf("%w: %w", errBadSnapshot, d.err)
	}
	return revision, nil
}

func (f *frameReader) checksum() error {
	want := f.sum.Sum(nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(f.r, got); err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("%w: its checksum does not match", errBadSnapshot)
	}
	return nil
}
