package output

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Stream is an output of a process, by the name that it has in a log.
type Stream string

const (
	Stdout Stream = "stdout"
	Stderr Stream = "stderr"
)

// maxLine is where a line is cut into parts, as kubelet and CRI runtimes do.
const maxLine = 16 << 10

// Log writes the log file of one container. It is used by the pumps of both
// streams.
type Log struct {
	path string

	mu   sync.Mutex
	file *os.File
	buf  []byte
	now  func() time.Time
	done bool
}

// OpenLog opens a log for appending; without a path there is none, and what is
// written is dropped.
func OpenLog(path string) (*Log, error) {
	l := &Log{path: path, now: time.Now}
	if path == "" {
		return l, nil
	}
	file, err := openLogFile(path)
	if err != nil {
		return nil, err
	}
	l.file = file
	return l, nil
}

func openLogFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|unix.O_NOFOLLOW, 0o640)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open log %s: its directory %s does not exist: %w", path, filepath.Dir(path), err)
	}
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return file, nil
}

// Write appends what one read of a stream gave. It is all in the file or, after
// an error, none of it.
func (l *Log) Write(stream Stream, data []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	l.buf = appendLines(l.buf[:0], l.now(), stream, data)
	n, err := l.file.Write(l.buf)
	if err != nil && n > 0 {
		l.undo(n)
	}
	return err
}

// undo cuts off the part of a write that made it to a full disk.
func (l *Log) undo(n int) {
	if info, err := l.file.Stat(); err == nil && info.Size() >= int64(n) {
		_ = l.file.Truncate(info.Size() - int64(n))
	}
}

// Reopen goes on in a new file at the path.
func (l *Log) Reopen() error {
	if l.path == "" {
		return nil
	}
	file, err := openLogFile(l.path)
	if err != nil {
		return err
	}
	l.mu.Lock()
	old := l.file
	if l.done {
		old = file
	} else {
		l.file = file
	}
	l.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// Close closes the file. What is written later is dropped.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = true
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// timeFormat is RFC 3339 with all nine digits, so that lines sort as text.
const timeFormat = "2006-01-02T15:04:05.000000000Z07:00"

// appendLines formats data in the CRI line format:
// https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
func appendLines(buf []byte, at time.Time, stream Stream, data []byte) []byte {
	head := make([]byte, 0, 64)
	head = at.UTC().AppendFormat(head, timeFormat)
	head = append(head, ' ')
	head = append(head, stream...)
	head = append(head, ' ')
	for len(data) > 0 {
		line, tag, taken := nextLine(data)
		buf = append(buf, head...)
		buf = append(buf, tag, ' ')
		buf = append(buf, line...)
		buf = append(buf, '\n')
		data = data[taken:]
	}
	return buf
}

// nextLine returns the next line without its end, whether it is full (F) or
// partial (P), and how much of data it took.
func nextLine(data []byte) (line []byte, tag byte, taken int) {
	for i, c := range data[:min(len(data), maxLine)] {
		if c == '\n' {
			return data[:i], 'F', i + 1
		}
	}
	n := min(len(data), maxLine)
	// The end of a line of exactly the greatest length belongs to it.
	if n < len(data) && data[n] == '\n' {
		return data[:n], 'F', n + 1
	}
	return data[:n], 'P', n
}
