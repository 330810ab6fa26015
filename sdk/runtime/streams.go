package runtime

import (
	"context"
	"io"
)

// streamChunk bounds the payload of one message of an output or input stream,
// far below the limit of a gRPC message.
const streamChunk = 32 << 10

// inputMessage is what the requests of Exec and Attach have in common.
type inputMessage interface {
	GetStdin() []byte
	GetResize() *TerminalSize
	GetCloseStdin() bool
}

// serveInput reads the caller's messages in one goroutine, which ends with the
// stream's context, and turns them into Stdin and Resize. Input is handed over
// without a buffer: a process that does not read holds its own caller up and
// nobody else. Of sizes only the last one counts, so a channel of one is enough.
func serveInput[M inputMessage](ctx context.Context, stdin bool, recv func() (M, error)) (Streams, func()) {
	resize := make(chan *TerminalSize, 1)
	streams := Streams{Resize: resize}
	reader, writer := io.Pipe()
	if stdin {
		streams.Stdin = reader
	}
	go func() {
		for {
			msg, err := recv()
			if err != nil {
				writer.CloseWithError(io.EOF)
				return
			}
			if data := msg.GetStdin(); len(data) > 0 && stdin {
				// An error means that nobody reads any more; sizes still count.
				_, _ = writer.Write(data)
			}
			if size := msg.GetResize(); size != nil {
				offerSize(resize, size)
			}
			if msg.GetCloseStdin() {
				_ = writer.Close()
			}
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = writer.CloseWithError(context.Canceled) })
	return streams, func() {
		stop()
		_ = reader.Close()
	}
}

// offerSize replaces a size that nobody has taken yet.
func offerSize(sizes chan *TerminalSize, size *TerminalSize) {
	for {
		select {
		case sizes <- size:
			return
		default:
		}
		select {
		case <-sizes:
		default:
		}
	}
}

// writerFunc sends what is written in messages of at most streamChunk bytes.
type writerFunc func(p []byte) error

func (send writerFunc) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), streamChunk)
		// gRPC encodes the message before Send returns, so p may be reused.
		if err := send(p[:n]); err != nil {
			return written, err
		}
		written += n
		p = p[n:]
	}
	return written, nil
}

// chunkReader reads a sequence of byte slices as one stream.
type chunkReader struct {
	rest []byte
	next func() ([]byte, error)
}

func (r *chunkReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		chunk, err := r.next()
		if err != nil {
			return 0, err
		}
		r.rest = chunk
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
