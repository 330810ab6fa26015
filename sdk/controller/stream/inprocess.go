package stream

import (
	"context"
	"io"
	"sync"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// inProcessBuffer is the number of messages that each direction of an
// in-process stream holds; a sender waits when it is full.
const inProcessBuffer = 16

// InProcess opens streams to a loop in this process. serve is called once for
// each stream, in a goroutine of its own, and the stream ends when it returns.
// Messages are handed over as they are: neither side may change one after
// sending it.
func InProcess(serve func(ServerStream) error) Opener { return inProcess{serve} }

type inProcess struct{ serve func(ServerStream) error }

func (p inProcess) Open(ctx context.Context) (Session, error) {
	ctx, cancel := context.WithCancel(ctx)
	pipe := &pipe{
		ctx:          ctx,
		observations: make(chan *pluginv1.Observation, inProcessBuffer),
		decisions:    make(chan *pluginv1.Decision, inProcessBuffer),
		done:         make(chan struct{}),
	}
	go func() {
		defer cancel()
		pipe.end(p.serve(serverEnd{pipe}))
	}()
	return clientEnd{pipe}, nil
}

type pipe struct {
	ctx          context.Context
	observations chan *pluginv1.Observation
	decisions    chan *pluginv1.Decision

	once sync.Once
	done chan struct{}
	err  error // written before done is closed
}

func (p *pipe) end(err error) {
	p.once.Do(func() {
		if err == nil {
			err = io.EOF
		}
		p.err = err
		close(p.done)
	})
}

type clientEnd struct{ *pipe }

func (c clientEnd) Send(o *pluginv1.Observation) error {
	select {
	case c.observations <- o:
		return nil
	case <-c.done:
		return c.err
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

func (c clientEnd) Recv() (*pluginv1.Decision, error) {
	select {
	case d := <-c.decisions:
		return d, nil
	case <-c.done:
		// What was sent before the end is still to be read.
		select {
		case d := <-c.decisions:
			return d, nil
		default:
			return nil, c.err
		}
	case <-c.ctx.Done():
		select {
		case <-c.done:
			return nil, c.err
		default:
			return nil, c.ctx.Err()
		}
	}
}

type serverEnd struct{ *pipe }

func (s serverEnd) Context() context.Context { return s.ctx }

func (s serverEnd) Send(d *pluginv1.Decision) error {
	select {
	case s.decisions <- d:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s serverEnd) Recv() (*pluginv1.Observation, error) {
	select {
	case o := <-s.observations:
		return o, nil
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}
