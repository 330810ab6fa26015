package oncrpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	minBackoff  = 50 * time.Millisecond
	maxBackoff  = 5 * time.Second
	// unansweredPause is for a server that takes connections and drops them.
	unansweredPause = time.Second
)

// ErrClosed is what calls get whose client was closed.
var ErrClosed = errors.New("the connection was closed")

// Dialer connects to the server. It returns by its context's end.
type Dialer func(ctx context.Context) (net.Conn, error)

// Client makes calls to one server.
type Client struct {
	dial    Dialer
	observe func(error)
	xid     atomic.Uint32
	life    context.Context
	end     context.CancelFunc

	mu         sync.Mutex
	connection *connection   // nil before the first call
	connecting chan struct{} // closed when the attempt under way has ended
	lastErr    error         // of the last attempt
}

// Connect connects once and fails where that does. Where the connection
// breaks later, observe is called with the reason of every attempt that failed
// and with nil when one succeeded.
func Connect(ctx context.Context, dial Dialer, observe func(error)) (*Client, error) {
	conn, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &Client{dial: dial, observe: observe, connection: newConnection(conn)}
	c.life, c.end = context.WithCancel(context.Background())
	c.xid.Store(rand.Uint32())
	return c, nil
}

// Close ends every call. It does not wait for them.
func (c *Client) Close() {
	c.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connection.breakWith(ErrClosed)
}

// Reply is what a call returned.
type Reply struct {
	Results *Decoder
	// Repeated: the call was sent more than once, so that the server may have
	// executed it before, and a NOENT of a removal can mean that it worked.
	Repeated bool
}

// Call makes a call until it has an answer.
func (c *Client) Call(ctx context.Context, call Call) (Reply, error) {
	xid := c.xid.Add(1)
	record := call.encode(xid)
	for attempt := 0; ; attempt++ {
		k, err := c.connected(ctx)
		if err != nil {
			return Reply{}, err
		}
		b, err := k.call(ctx, xid, record)
		if err == nil {
			d, err := decodeReply(NewDecoder(b))
			return Reply{Results: d, Repeated: attempt > 0}, err
		}
		if ctx.Err() != nil {
			return Reply{}, fmt.Errorf("waiting for an answer: %w", ctx.Err())
		}
	}
}

// connected waits for a connection.
func (c *Client) connected(ctx context.Context) (*connection, error) {
	for {
		c.mu.Lock()
		if c.life.Err() != nil {
			c.mu.Unlock()
			return nil, ErrClosed
		}
		if c.connection.failure() == nil {
			defer c.mu.Unlock()
			return c.connection, nil
		}
		if c.connecting == nil {
			c.connecting = make(chan struct{})
			go c.reconnect(c.connecting)
		}
		connecting := c.connecting
		c.mu.Unlock()
		select {
		case <-connecting:
		case <-ctx.Done():
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.lastErr != nil {
				return nil, fmt.Errorf("%w: connecting: %w", ctx.Err(), c.lastErr)
			}
			return nil, ctx.Err()
		}
	}
}

// reconnect tries until it has a connection or the client is closed.
func (c *Client) reconnect(done chan struct{}) {
	defer func() {
		c.mu.Lock()
		c.connecting = nil
		c.mu.Unlock()
		close(done)
	}()
	c.observe(c.connection.failure())
	if !c.connection.answered.Load() && !c.pause(unansweredPause) {
		return
	}
	for backoff := minBackoff; ; backoff = min(2*backoff, maxBackoff) {
		ctx, cancel := context.WithTimeout(c.life, dialTimeout)
		conn, err := c.dial(ctx)
		cancel()
		if c.life.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		if err == nil {
			k := newConnection(conn)
			c.mu.Lock()
			c.connection, c.lastErr = k, nil
			closed := c.life.Err() != nil
			c.mu.Unlock()
			if closed {
				k.breakWith(ErrClosed)
				return
			}
			c.observe(nil)
			return
		}
		c.mu.Lock()
		c.lastErr = err
		c.mu.Unlock()
		c.observe(err)
		if !c.pause(backoff) {
			return
		}
	}
}

// pause reports whether the client is still in use after d.
func (c *Client) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-c.life.Done():
		return false
	}
}
