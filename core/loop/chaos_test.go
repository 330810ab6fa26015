package loop_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
)

// chaos is an opener whose streams misbehave for as long as it is on.
type chaos struct {
	stream.Opener
	on     atomic.Bool
	broken atomic.Int64
}

var errChaos = errors.New("the plugin crashed")

func (c *chaos) Open(ctx context.Context) (stream.Session, error) {
	if c.on.Load() && rand.N(20) == 0 {
		return nil, errChaos
	}
	s, err := c.Opener.Open(ctx)
	return &chaosSession{Session: s, chaos: c}, err
}

type chaosSession struct {
	stream.Session
	chaos *chaos
	mu    sync.Mutex
	last  *pluginv1.Decision
}

func (s *chaosSession) Send(o *pluginv1.Observation) error {
	if s.chaos.on.Load() && rand.N(100) == 0 {
		s.chaos.broken.Add(1)
		return errChaos
	}
	return s.Session.Send(o)
}

// Recv breaks the stream, repeats decisions that were sent before, or invents
// some.
func (s *chaosSession) Recv() (*pluginv1.Decision, error) {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if s.chaos.on.Load() {
		switch rand.N(100) {
		case 0:
			s.chaos.broken.Add(1)
			return nil, errChaos
		case 1, 2, 3:
			if last != nil {
				return last, nil
			}
		case 4:
			return &pluginv1.Decision{WorkId: 1 << 40, Key: &pluginv1.Key{Namespace: "default", Name: "invented"}}, nil
		case 5:
			return &pluginv1.Decision{Enqueue: []*pluginv1.Key{{Namespace: "default", Name: "nobody"}, {Name: "bad"}, {Kind: 99, Name: "worse"}}}, nil
		}
	}
	d, err := s.Session.Recv()
	if err == nil && s.chaos.on.Load() {
		switch rand.N(200) {
		case 0:
			d = proto.CloneOf(d)
			d.Key = &pluginv1.Key{Namespace: "default", Name: "another"}
		case 1:
			d = proto.CloneOf(d)
			d.ObservedRevision += 1 << 40
		}
	}
	s.mu.Lock()
	s.last = d
	s.mu.Unlock()
	return d, err
}
