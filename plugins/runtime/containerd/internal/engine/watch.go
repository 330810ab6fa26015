package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	eventsapi "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/typeurl/v2"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/daemon"
)

const (
	// markTopic is for an event of our own, by which we learn that a
	// subscription is in force: containerd does not say so.
	markTopic    = "/pintle/mark"
	markInterval = 50 * time.Millisecond

	// probeInterval is between two looks whether containerd still answers: one
	// that hangs sends no events and ends no stream.
	probeInterval = 10 * time.Second

	minReconnect = 100 * time.Millisecond
	maxReconnect = 5 * time.Second
)

// watch follows containerd's events until Close. Each time that the stream was
// interrupted it compares what it knows with what there is.
func (e *Engine) watch() {
	backoff := minReconnect
	for {
		started := time.Now()
		err := e.watchOnce(e.ctx)
		if e.ctx.Err() != nil {
			return
		}
		if time.Since(started) > maxReconnect {
			backoff = minReconnect
		}
		e.logger.Warn("the stream of containerd's events was interrupted", "address", e.daemon.Address, "err", err)
		e.setHealth(errs.Unavailable("containerd at %s does not answer: %w", e.daemon.Address, err).
			WithReason("ContainerdUnavailable").WithHint("see containerd's log"))
		select {
		case <-e.ctx.Done():
			return
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxReconnect)
		e.reviveDaemon()
	}
}

// watching tells waitWatching of the first success or failure. It is settled by
// the goroutine of watch alone.
type watching struct {
	done    chan struct{}
	settled bool
	err     error
}

func (w *watching) settle(err error) {
	if !w.settled {
		w.settled, w.err = true, err
		close(w.done)
	}
}

func (e *Engine) waitWatching(ctx context.Context) error {
	select {
	case <-e.first.done:
		return e.first.err
	case <-ctx.Done():
		return classify(ctx.Err(), "read what runs in containerd at %s", e.daemon.Address)
	}
}

func (e *Engine) watchOnce(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	envelopes, failed := e.client.EventService().Subscribe(ctx, fmt.Sprintf(`namespace==%s,topic~="^/(tasks/(exit|oom)|images/|pintle/)"`, e.config.Namespace))
	if err := e.mark(ctx, envelopes, failed); err != nil {
		err = fmt.Errorf("subscribe to events: %w", err)
		e.first.settle(classify(err, "containerd at %s", e.daemon.Address))
		return err
	}
	if err := e.sync(ctx); err != nil {
		e.first.settle(err)
		return err
	}
	e.setHealth(nil)
	e.first.settle(nil)
	probe := time.NewTicker(probeInterval)
	defer probe.Stop()
	for {
		select {
		case <-probe.C:
			if _, err := daemon.Probe(ctx, e.daemon.Address); err != nil {
				return err
			}
		case envelope := <-envelopes:
			e.handle(envelope)
		case err := <-failed:
			if err == nil {
				err = errors.New("containerd ended it")
			}
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// mark returns once the subscription is in force. What comes before the mark is
// found by the comparison that follows.
func (e *Engine) mark(ctx context.Context, envelopes <-chan *events.Envelope, failed <-chan error) error {
	nonce := rand.Text()
	publish := func() error {
		return e.client.EventService().Publish(ctx, markTopic, &eventsapi.ContainerUpdate{ID: nonce})
	}
	if err := publish(); err != nil {
		return err
	}
	ticker := time.NewTicker(markInterval)
	defer ticker.Stop()
	for {
		select {
		case envelope := <-envelopes:
			if event, ok := decodeEvent(envelope).(*eventsapi.ContainerUpdate); ok && event.ID == nonce {
				return nil
			}
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			if err := publish(); err != nil {
				return err
			}
		}
	}
}

func decodeEvent(envelope *events.Envelope) any {
	if envelope == nil || envelope.Event == nil {
		return nil
	}
	event, err := typeurl.UnmarshalAny(envelope.Event)
	if err != nil {
		return nil
	}
	return event
}

func (e *Engine) handle(envelope *events.Envelope) {
	switch event := decodeEvent(envelope).(type) {
	case *eventsapi.TaskExit:
		// An exec has an ID of its own; whoever ran it waits for it.
		if event.ID != event.ContainerID {
			return
		}
		if c := e.table.container(event.ContainerID); c != nil {
			e.ended(c, exitStatus{code: event.ExitStatus, at: event.ExitedAt.AsTime(), known: true})
		} else {
			e.holderEnded(event.ContainerID)
		}
	case *eventsapi.TaskOOM:
		if c := e.table.container(event.ContainerID); c != nil {
			e.emit(pluginv1.EventsResponse_TYPE_OOM, c.snapshot())
		}
	default:
		if strings.HasPrefix(envelope.Topic, "/images/") {
			e.images.invalidate()
		}
	}
}

// reviveDaemon starts a containerd of our own again where it has ended: nobody
// else does.
func (e *Engine) reviveDaemon() {
	if !e.daemon.Own {
		return
	}
	if err := e.daemon.Revive(e.ctx, e.daemonOptions()); err != nil && e.ctx.Err() == nil {
		e.logger.Error("can't start containerd again", "err", err)
	}
}
