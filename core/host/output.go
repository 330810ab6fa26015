package host

import (
	"bufio"
	"bytes"
	"io"
	"sync"
)

// stderrReader looks to go-plugin like an empty stream: it takes the lines
// itself and ends when the stream does.
type stderrReader struct {
	from io.ReadCloser
	sink *logSink
	end  chan struct{} // closed at the end of the stream
	once sync.Once
}

func newStderrReader(from io.ReadCloser, sink *logSink) *stderrReader {
	return &stderrReader{from: from, sink: sink, end: make(chan struct{})}
}

func (r *stderrReader) Read([]byte) (int, error) {
	readLines(r.from, "stderr", r.sink)
	r.once.Do(func() { close(r.end) })
	return 0, io.EOF
}

func (r *stderrReader) Close() error { return r.from.Close() }

// readLines gives the lines of a stream to the sink until its end. Of a line
// longer than maxLine only the beginning counts.
func readLines(from io.Reader, stream string, sink *logSink) {
	buffered := bufio.NewReaderSize(from, maxLine)
	continued := false
	for {
		line, more, err := buffered.ReadLine()
		if err != nil {
			sink.flush()
			return
		}
		sink.throttle(len(line) + 1)
		if !continued {
			sink.line(stream, line)
		}
		continued = more
	}
}

// maxHandshake bounds the handshake line in bytes; a certificate is in it.
const maxHandshake = 16 << 10

// stdoutReader passes the first line, the handshake, on to go-plugin, keeps it
// for errors, and takes whatever follows as lines of the log.
type stdoutReader struct {
	from io.ReadCloser
	sink *logSink
	rest []byte // what was read behind the first line
	done bool   // the first line has been passed on

	mu   sync.Mutex
	line []byte // the first line as far as it was read
	eof  bool
}

func newStdoutReader(from io.ReadCloser, sink *logSink) *stdoutReader {
	return &stdoutReader{from: from, sink: sink}
}

func (r *stdoutReader) Read(p []byte) (int, error) {
	if r.done {
		readLines(io.MultiReader(bytes.NewReader(r.rest), r.from), "stdout", r.sink)
		return 0, io.EOF
	}
	n, err := r.from.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	if end := bytes.IndexByte(p[:n], '\n'); end >= 0 {
		r.rest = bytes.Clone(p[end+1 : n])
		n = end + 1
		r.done = true
	}
	r.line = append(r.line, p[:n]...)
	r.eof = r.eof || err != nil
	if !r.done && len(r.line) > maxHandshake {
		return 0, io.EOF
	}
	return n, err
}

func (r *stdoutReader) Close() error { return r.from.Close() }

// firstLine returns the first line as far as the plugin has written it.
func (r *stdoutReader) firstLine() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.TrimRight(bytes.Clone(r.line), "\r\n")
}

// ended reports whether the stream ended within the first line.
func (r *stdoutReader) ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.eof
}

// lineWriter takes what a plugin's code prints after go-plugin replaced its
// standard streams; go-plugin copies that here over the connection.
type lineWriter struct {
	stream string
	sink   *logSink
	held   []byte // an unfinished line, at most maxLine bytes
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		if room := maxLine - len(w.held); room > 0 {
			w.held = append(w.held, line[:min(len(line), room)]...)
		}
		if ended {
			w.sink.line(w.stream, w.held)
			w.held = w.held[:0]
		}
		p = rest
	}
	return n, nil
}
