package apiserver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/pintle-io/pintle/core/auth"
)

// InProcessConfig returns the configuration of a client-go client whose
// requests reach the handler without a socket, made by the given user. They
// take the same way as any other: authorization, limits, everything.
//
// Streams that upgrade their connection (exec, attach, port forwarding) need a
// socket and are not possible.
func InProcessConfig(handler http.Handler, user auth.User) *rest.Config {
	return &rest.Config{
		Host: "https://in-process",
		// The client's own rate limits protect a remote server.
		QPS:       -1,
		Transport: &inProcessTransport{handler: handler, user: user},
	}
}

type inProcessTransport struct {
	handler http.Handler
	user    auth.User
}

// RoundTrip runs the handler in a goroutine that ends with the request's
// context, or once the answer's body is closed.
func (t *inProcessTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	in := r.Clone(inProcess(ctx, t.user))
	in.RequestURI = r.URL.RequestURI()
	in.RemoteAddr = "in-process"
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/2.0", 2, 0
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := &inProcessWriter{header: http.Header{}, head: make(chan struct{}), cancel: cancel}
	w.ready.L = &w.mu
	// Reading and writing wait on ready, so the end of the request wakes them.
	wake := context.AfterFunc(ctx, func() { w.fail(ctx.Err()) })
	go func() {
		defer in.Body.Close()
		defer wake()
		defer w.finish()
		t.handler.ServeHTTP(w, in)
	}()

	select {
	case <-w.head:
	case <-r.Context().Done():
		cancel()
		return nil, r.Context().Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.aborted && w.buf.Len() == 0 {
		cancel()
		return nil, errAborted
	}
	resp := &http.Response{
		StatusCode: w.code, Status: http.StatusText(w.code),
		Proto: in.Proto, ProtoMajor: 2, Header: w.sent, Body: w, Request: r, ContentLength: -1,
	}
	if w.done {
		resp.ContentLength = int64(w.buf.Len())
	}
	return resp, nil
}

var errAborted = errors.New("the server cut the answer off")

// inProcessBuffer in bytes is how much of an answer waits for its reader; the
// handler waits beyond it.
const inProcessBuffer = 256 << 10

// inProcessWriter is the handler's ResponseWriter and the client's body.
type inProcessWriter struct {
	header http.Header

	mu      sync.Mutex
	ready   sync.Cond
	head    chan struct{} // closed once the answer has begun
	begun   bool
	code    int
	sent    http.Header
	buf     bytes.Buffer
	done    bool  // the handler returned
	aborted bool  // the handler panicked to cut the answer off
	err     error // why nothing more can be read or written
	cancel  context.CancelFunc
}

func (w *inProcessWriter) Header() http.Header { return w.header }

func (w *inProcessWriter) WriteHeader(code int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeader(code)
}

func (w *inProcessWriter) writeHeader(code int) {
	if w.code == 0 && code >= 200 {
		w.code = code
		w.sent = w.header.Clone()
	}
}

// begin lets RoundTrip return. It waits for the first flush or for a full
// buffer, so that a short answer is whole when its reader gets it.
func (w *inProcessWriter) begin() {
	if !w.begun {
		w.begun = true
		close(w.head)
	}
}

func (w *inProcessWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeader(http.StatusOK)
	for w.err == nil && w.buf.Len() > 0 && w.buf.Len()+len(p) > inProcessBuffer {
		w.begin()
		w.ready.Wait()
	}
	if w.err != nil {
		return 0, w.err
	}
	w.buf.Write(p)
	w.ready.Broadcast()
	return len(p), nil
}

func (w *inProcessWriter) Flush() { _ = w.FlushError() }

func (w *inProcessWriter) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeader(http.StatusOK)
	w.begin()
	return w.err
}

// SetWriteDeadline understands what the watchdog does: a time that is past.
func (w *inProcessWriter) SetWriteDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		w.fail(os.ErrDeadlineExceeded)
	}
	return nil
}

func (w *inProcessWriter) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && !w.done {
		w.err = err
	}
	w.ready.Broadcast()
}

// finish is deferred around the handler and takes a panic that aborts the
// answer, as net/http does; the Server recovers all others.
func (w *inProcessWriter) finish() {
	p := recover()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
	if p == nil {
		w.writeHeader(http.StatusOK)
	} else {
		w.aborted = true
		w.err = errAborted
	}
	w.begin()
	w.ready.Broadcast()
	if p != nil && p != http.ErrAbortHandler {
		panic(p)
	}
}

func (w *inProcessWriter) Read(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		switch {
		case w.buf.Len() > 0:
			n, err := w.buf.Read(p)
			w.ready.Broadcast()
			return n, err
		case w.err != nil:
			return 0, w.err
		case w.done:
			return 0, io.EOF
		}
		w.ready.Wait()
	}
}

// Close ends the handler, as the end of a connection would.
func (w *inProcessWriter) Close() error {
	// The end of the context would say so too, but only after a while.
	w.fail(context.Canceled)
	w.cancel()
	return nil
}
