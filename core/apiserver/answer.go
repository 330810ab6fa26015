package apiserver

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// spillSize in bytes is how much of an answer is kept before it is sent on,
// and the least that is worth compressing.
const spillSize = 128 << 10

// answer collects the body of one answer: a small one goes out in one write
// with its length, a big one in parts, compressed where the client asks so.
type answer struct {
	w        http.ResponseWriter
	code     int
	mayZip   bool
	buf      []byte
	zip      *gzip.Writer
	started  bool
	writeErr error
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

var zippers = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // the level is valid
	return w
}}

func newAnswer(w http.ResponseWriter, r *http.Request, code int, contentType string) answer {
	w.Header().Set("Content-Type", contentType)
	buf := buffers.Get().(*[]byte)
	return answer{w: w, code: code, mayZip: acceptsGzip(r), buf: (*buf)[:0]}
}

// spill sends on what was collected once it is much.
func (a *answer) spill() {
	if len(a.buf) >= spillSize {
		a.flush()
	}
}

func (a *answer) flush() {
	if !a.started {
		a.started = true
		if a.mayZip {
			a.w.Header().Set("Content-Encoding", "gzip")
			a.w.Header().Add("Vary", "Accept-Encoding")
			a.zip = zippers.Get().(*gzip.Writer)
			a.zip.Reset(a.w)
		}
		a.w.WriteHeader(a.code)
	}
	if a.writeErr == nil {
		if a.zip != nil {
			_, a.writeErr = a.zip.Write(a.buf)
		} else {
			_, a.writeErr = a.w.Write(a.buf)
		}
	}
	a.buf = a.buf[:0]
}

// finish sends the rest and gives the buffers back.
func (a *answer) finish() {
	if !a.started && len(a.buf) < spillSize {
		a.w.WriteHeader(a.code)
		_, a.writeErr = a.w.Write(a.buf)
	} else {
		a.flush()
	}
	if a.zip != nil {
		if err := a.zip.Close(); a.writeErr == nil {
			a.writeErr = err
		}
		a.zip.Reset(io.Discard)
		zippers.Put(a.zip)
		a.zip = nil
	}
	if cap(a.buf) <= 2*spillSize {
		buf := a.buf[:0]
		buffers.Put(&buf)
	}
	a.buf = nil
}

// acceptsGzip also asks where the client is: compressing for a client on the
// same machine costs both sides more than it saves.
func acceptsGzip(r *http.Request) bool {
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		return false
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && !from.Addr().Unmap().IsLoopback()
}

// discard gives the buffers back where nothing was sent.
func (a *answer) discard() {
	a.buf = a.buf[:0]
	buffers.Put(&a.buf)
	a.buf = nil
}
