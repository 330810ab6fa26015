package logs

import (
	"bytes"
	"io"
	"time"
)

// printer writes the text of log lines.
type printer struct {
	out  io.Writer
	o    Options
	left int64
	// open: the last text was a part of a line that goes on.
	open bool
	buf  []byte
}

// line of a log.
type line struct {
	stamp, stream, text []byte
	partial             bool
}

// parse splits a line in the CRI format; false where it is none.
func parse(raw []byte) (l line, ok bool) {
	var tags []byte
	if l.stamp, raw, ok = bytes.Cut(raw, []byte(" ")); !ok {
		return l, false
	}
	if l.stream, raw, ok = bytes.Cut(raw, []byte(" ")); !ok {
		return l, false
	}
	if tags, l.text, ok = bytes.Cut(raw, []byte(" ")); !ok {
		return l, false
	}
	first, _, _ := bytes.Cut(tags, []byte(":"))
	l.partial = string(first) == "P"
	return l, true
}

func (p *printer) print(raw []byte) error {
	l, ok := parse(raw)
	if !ok || p.o.Stream != "" && string(l.stream) != p.o.Stream {
		return nil
	}
	if !p.o.Since.IsZero() {
		at, err := time.Parse(time.RFC3339Nano, string(l.stamp))
		if err != nil || at.Before(p.o.Since) {
			return nil //nolint:nilerr // a line without a time is none
		}
	}
	p.buf = p.buf[:0]
	if p.o.Timestamps && !p.open {
		p.buf = append(append(p.buf, l.stamp...), ' ')
	}
	text := l.text
	if l.partial {
		text = bytes.TrimSuffix(text, []byte("\n"))
	}
	p.open = l.partial
	p.buf = append(p.buf, text...)
	if p.o.LimitBytes > 0 && int64(len(p.buf)) >= p.left {
		if _, err := p.out.Write(p.buf[:p.left]); err != nil {
			return err
		}
		return errLimit
	}
	p.left -= int64(len(p.buf))
	_, err := p.out.Write(p.buf)
	return err
}
