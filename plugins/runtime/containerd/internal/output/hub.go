package output

import (
	"sync"
)

// attachedBytes bounds what waits for one who attached.
const attachedBytes = 256 << 10

// hub hands output to those who attached, without ever waiting for them.
type hub struct {
	mu       sync.Mutex
	attached map[*Attachment]struct{}
	closed   bool
}

// Chunk is a piece of output.
type Chunk struct {
	Stream Stream
	Data   []byte
}

// Attachment receives a container's output from the moment that it was made.
type Attachment struct {
	hub    *hub
	chunks chan Chunk

	// Guarded by hub.mu.
	waiting int
	slow    bool
	ended   bool
}

// attachedChunks bounds the number of pieces that wait, beside their bytes.
const attachedChunks = 1024

func (h *hub) attach() *Attachment {
	a := &Attachment{hub: h, chunks: make(chan Chunk, attachedChunks)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		a.ended = true
		close(a.chunks)
		return a
	}
	if h.attached == nil {
		h.attached = map[*Attachment]struct{}{}
	}
	h.attached[a] = struct{}{}
	return a
}

func (h *hub) send(stream Stream, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.attached) == 0 {
		return
	}
	chunk := Chunk{Stream: stream, Data: append([]byte(nil), data...)}
	for a := range h.attached {
		if a.waiting+len(data) > attachedBytes || len(a.chunks) == cap(a.chunks) {
			a.slow = true
			h.end(a)
			continue
		}
		a.waiting += len(data)
		a.chunks <- chunk
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for a := range h.attached {
		h.end(a)
	}
}

func (h *hub) end(a *Attachment) {
	if a.ended {
		return
	}
	a.ended = true
	delete(h.attached, a)
	close(a.chunks)
}

// Chunks is closed at the end of the output, or earlier where the receiver was
// too slow: see Slow. Every chunk taken must be told to Done.
func (a *Attachment) Chunks() <-chan Chunk { return a.chunks }

// Done makes room for more.
func (a *Attachment) Done(c Chunk) {
	a.hub.mu.Lock()
	a.waiting -= len(c.Data)
	a.hub.mu.Unlock()
}

// Slow says whether the receiver was cut off for being too slow.
func (a *Attachment) Slow() bool {
	a.hub.mu.Lock()
	defer a.hub.mu.Unlock()
	return a.slow
}

// Close ends the attachment.
func (a *Attachment) Close() {
	a.hub.mu.Lock()
	defer a.hub.mu.Unlock()
	a.hub.end(a)
}
