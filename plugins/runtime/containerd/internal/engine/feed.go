package engine

import (
	"context"
	"sync"

	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// feedBuffer is how many events may wait for one caller.
const feedBuffer = 1024

// feed hands events to every caller of Events.
type feed struct {
	mu          sync.Mutex
	subscribers map[chan *runtime.Event]struct{}
}

func (f *feed) publish(event *runtime.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ch := range f.subscribers {
		select {
		case ch <- event:
		default:
			delete(f.subscribers, ch)
			close(ch)
		}
	}
}

// Events implements runtime.Runtime.
func (e *Engine) Events(ctx context.Context, _ *runtime.EventsRequest, send func(*runtime.Event) error) error {
	ch := make(chan *runtime.Event, feedBuffer)
	e.feed.mu.Lock()
	if e.feed.subscribers == nil {
		e.feed.subscribers = map[chan *runtime.Event]struct{}{}
	}
	e.feed.subscribers[ch] = struct{}{}
	e.feed.mu.Unlock()
	defer func() {
		e.feed.mu.Lock()
		delete(e.feed.subscribers, ch)
		e.feed.mu.Unlock()
	}()
	if err := send(&runtime.Event{Type: pluginv1.EventsResponse_TYPE_READY, At: timestamppb.Now()}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return classify(ctx.Err(), "events")
		case event, ok := <-ch:
			if !ok {
				return errs.ResourceExhausted("events: the caller was too slow: more than %d events waited", feedBuffer).
					WithHint("subscribe again and list")
			}
			if err := send(event); err != nil {
				return err
			}
		}
	}
}

func (e *Engine) emit(kind pluginv1.EventsResponse_Type, c *runtime.Container) {
	e.feed.publish(&runtime.Event{Type: kind, ContainerId: c.GetId(), SandboxId: c.GetSandboxId(), At: timestamppb.Now()})
}
