package logs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// maxLine of a log file; a runtime splits longer ones into parts far below.
	maxLine = 1 << 20
	// checkPeriod is how often a follower looks whether the container still
	// runs; what is written wakes it at once.
	checkPeriod = time.Second
	blockSize   = 64 << 10
)

// Options of reading, as of PodLogOptions.
type Options struct {
	Follow     bool
	Timestamps bool
	// Tail is the number of lines from the end, nil for all.
	Tail  *int64
	Since time.Time
	// LimitBytes of the output, 0 for no limit.
	LimitBytes int64
	// Stream is "stdout" or "stderr", empty for both.
	Stream string
}

// errLimit ends a reading that has given all that it may.
var errLimit = errors.New("the limit of bytes is reached")

// Read copies a container's log to out. With Follow it goes on until running
// says no and all is read, or ctx ends.
func Read(ctx context.Context, path string, o Options, running func() bool, out io.Writer) error {
	p := &printer{out: out, o: o, left: o.LimitBytes}
	err := read(ctx, path, o, running, p)
	if errors.Is(err, errLimit) {
		return nil
	}
	return err
}

func read(ctx context.Context, path string, o Options, running func() bool, p *printer) error {
	parts, err := rotated(path)
	if err != nil {
		return err
	}
	var watcher *fsnotify.Watcher
	if o.Follow {
		// Before the first reading, so that nothing is missed between.
		if watcher, err = fsnotify.NewWatcher(); err != nil {
			return fmt.Errorf("following the log %s: %w", path, err)
		}
		defer func() { _ = watcher.Close() }()
		if err := watcher.Add(filepath.Dir(path)); err != nil {
			return fmt.Errorf("following the log %s: %w", path, err)
		}
	}
	files := append(parts, path)
	first, offset := 0, int64(0)
	if o.Tail != nil {
		if first, offset, err = tail(files, *o.Tail); err != nil {
			return err
		}
	}
	for i := first; i < len(files)-1; i++ {
		if err := copyFile(files[i], offset, p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		offset = 0
	}
	f, err := openCurrent(ctx, path, o.Follow, running, watcher)
	if err != nil || f == nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	if !o.Follow {
		return newLines(f).copy(p)
	}
	return follow(ctx, path, f, running, watcher, p)
}

// rotated parts of a log, the oldest first.
func rotated(path string) ([]string, error) {
	parts, err := filepath.Glob(path + ".*")
	if err != nil {
		return nil, err
	}
	slices.Sort(parts)
	return parts, nil
}

func copyFile(path string, offset int64, p *printer) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	return newLines(f).copy(p)
}

// openCurrent opens the file that is written to; a container that was only just
// created has none yet, and one that never ran has none at all.
func openCurrent(ctx context.Context, path string, wait bool, running func() bool, w *fsnotify.Watcher) (*os.File, error) {
	for {
		f, err := os.Open(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		if !wait || !running() {
			return nil, nil
		}
		if err := changed(ctx, w); err != nil {
			return nil, err
		}
	}
}

// changed waits for something to happen in the log's directory, or a moment.
func changed(ctx context.Context, w *fsnotify.Watcher) error {
	t := time.NewTimer(checkPeriod)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-w.Events:
	case err := <-w.Errors:
		// An overflow lost events; the next look finds what they told.
		if !errors.Is(err, fsnotify.ErrEventOverflow) && err != nil {
			return fmt.Errorf("following a log: %w", err)
		}
	case <-t.C:
	}
	return nil
}

func follow(ctx context.Context, path string, f *os.File, running func() bool, w *fsnotify.Watcher, p *printer) error {
	defer func() { _ = f.Close() }()
	l := newLines(f)
	for {
		// Asked before reading: what was written before the end is then read.
		alive := running()
		next, err := successor(path, f)
		if err != nil {
			return err
		}
		if err := l.copy(p); err != nil {
			if next != nil {
				_ = next.Close()
			}
			return err
		}
		if next != nil {
			_ = f.Close()
			f, l = next, newLines(next)
			continue
		}
		if !alive {
			return nil
		}
		if err := changed(ctx, w); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the reader went away
			}
			return err
		}
	}
}

// successor opens the file that took the place of f after a rotation, nil where
// f is still the one.
func successor(path string, f *os.File) (*os.File, error) {
	have, err := f.Stat()
	if err != nil {
		return nil, err
	}
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && os.SameFile(have, now) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	next, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return next, err
}

// lines reads whole lines and keeps the beginning of one that is being written.
type lines struct {
	r    *bufio.Reader
	rest []byte
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, blockSize)} }

// copy prints what there is up to the end of the file.
func (l *lines) copy(p *printer) error {
	for {
		part, err := l.r.ReadSlice('\n')
		l.rest = append(l.rest, part...)
		if errors.Is(err, bufio.ErrBufferFull) && len(l.rest) < maxLine {
			continue
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if err := p.print(l.rest); err != nil {
			return err
		}
		l.rest = l.rest[:0]
	}
}

// tail finds where the last n lines begin: in which file and at which offset.
func tail(files []string, n int64) (index int, offset int64, err error) {
	for i := len(files) - 1; i >= 0; i-- {
		at, found, err := tailOf(files[i], n)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		if found >= n {
			return i, at, nil
		}
		n -= found
	}
	return 0, 0, nil
}

// tailOf counts up to n lines from the end of a file.
func tailOf(path string, n int64) (offset, found int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = f.Close() }()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || n <= 0 {
		return end, 0, err
	}
	size := end
	buf := make([]byte, blockSize)
	for end > 0 {
		begin := max(end-blockSize, 0)
		b := buf[:end-begin]
		if _, err := f.ReadAt(b, begin); err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, err
		}
		for {
			i := bytes.LastIndexByte(b, '\n')
			if i < 0 {
				break
			}
			if at := begin + int64(i) + 1; at < size {
				// A line begins here, and so one ended before.
				if found++; found == n {
					return at, found, nil
				}
			}
			b = b[:i]
		}
		end = begin
	}
	if size > 0 {
		found++
	}
	return 0, found, nil
}
