package oncrpc

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// echoServer answers every call with its first argument. Of each connection it
// drops the calls from the limit on, and then the connection.
type echoServer struct {
	limit atomic.Int32
	calls atomic.Int32
}

func (s *echoServer) dial(context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	go s.serve(server)
	return client, nil
}

func (s *echoServer) serve(conn net.Conn) {
	defer conn.Close()
	for served := int32(0); ; served++ {
		record, err := readRecord(conn)
		if err != nil {
			return
		}
		s.calls.Add(1)
		if limit := s.limit.Load(); limit > 0 && served >= limit {
			return
		}
		argument := record[len(record)-4:]
		var e Encoder
		e.Uint32(lastFragment | 28)
		e.Uint32(binary.BigEndian.Uint32(record))
		for _, v := range []uint32{messageOK, 0, authNone, 0, 0} {
			e.Uint32(v)
		}
		e.Fixed(argument)
		if _, err := conn.Write(e.Bytes()); err != nil {
			return
		}
	}
}

func connect(t *testing.T, dial Dialer) *Client {
	t.Helper()
	c, err := Connect(t.Context(), dial, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func echo(ctx context.Context, c *Client, v uint32) (Reply, error) {
	reply, err := c.Call(ctx, Call{
		Program: 1, Version: 1, Credential: &Credential{Machine: "m", Groups: make([]uint32, 20)},
		Arguments: func(e *Encoder) { e.Uint32(v) },
	})
	if err == nil && reply.Results.Uint32() != v {
		err = errors.New("the answer is another call's")
	}
	return reply, err
}

// TestConcurrentCalls gives every caller its own answer, also where the
// connection breaks under them again and again.
func TestConcurrentCalls(t *testing.T) {
	for _, limit := range []int32{0, 7} {
		server := &echoServer{}
		server.limit.Store(limit)
		c := connect(t, server.dial)
		var repeated atomic.Bool
		var calls sync.WaitGroup
		for i := range uint32(100) {
			calls.Go(func() {
				reply, err := echo(t.Context(), c, i)
				if err != nil {
					t.Error(err)
				}
				if reply.Repeated {
					repeated.Store(true)
				}
			})
		}
		calls.Wait()
		if repeated.Load() != (limit > 0) {
			t.Errorf("limit %d: repeated %v", limit, repeated.Load())
		}
	}
}

// TestCallEnds with its context, and with the client, while nobody answers.
func TestCallEnds(t *testing.T) {
	c := connect(t, func(context.Context) (net.Conn, error) {
		client, server := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, server) }()
		return client, nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := echo(ctx, c, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call whose time is over: %v", err)
	}
	time.AfterFunc(20*time.Millisecond, c.Close)
	if _, err := echo(t.Context(), c, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("a call of a client that was closed: %v", err)
	}
}

// TestReconnect tells of the failures and of the success.
func TestReconnect(t *testing.T) {
	server := &echoServer{}
	server.limit.Store(1)
	refused := errors.New("refused")
	var dials atomic.Int32
	heard := make(chan error, 100)
	c, err := Connect(t.Context(), func(ctx context.Context) (net.Conn, error) {
		if n := dials.Add(1); n == 2 || n == 3 {
			return nil, refused
		}
		return server.dial(ctx)
	}, func(err error) { heard <- err })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range uint32(2) {
		if _, err := echo(t.Context(), c, i); err != nil {
			t.Fatal(err)
		}
	}
	var all []error
	for len(all) == 0 || all[len(all)-1] != nil {
		all = append(all, <-heard)
	}
	if len(all) != 4 || !errors.Is(all[1], refused) || !errors.Is(all[2], refused) {
		t.Errorf("heard %v", all)
	}
}
