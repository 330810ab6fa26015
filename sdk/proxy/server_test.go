package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// fake notes the states that it is given.
type fake struct {
	mu     sync.Mutex
	states []*State
	// fail is how many of the next calls fail; gate, where set, is waited for.
	fail   int
	gate   chan struct{}
	intact bool
	left   int
}

func (f *fake) Sync(ctx context.Context, state *State) (*Result, error) {
	if f.gate != nil {
		select {
		case <-f.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.states = append(f.states, state)
	if f.fail > 0 {
		f.fail--
		return nil, errors.New("not now")
	}
	f.intact = true
	return &Result{Errors: map[string]string{"d/broken": "why"}}, nil
}

func (f *fake) Leave(context.Context) error { f.left++; return nil }

func (f *fake) Verify(context.Context) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.intact, nil
}

func (f *fake) seen() []*State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.states)
}

// open serves f and opens a stream to it.
func open(t *testing.T, f *fake, every time.Duration) (*Client, Stream) {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	g := grpc.NewServer()
	(&server{proxy: f, verifyEvery: every}).Register(g)
	go g.Serve(listener)
	t.Cleanup(g.Stop)
	conn, err := grpc.NewClient("passthrough:proxy", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return listener.Dial() }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := NewClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	stream, err := c.Sync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return c, stream
}

func send(t *testing.T, s Stream, req *SyncRequest) {
	t.Helper()
	if err := s.Send(req); err != nil {
		t.Fatal(err)
	}
}

// acknowledged reads responses up to a revision.
func acknowledged(t *testing.T, s Stream, revision uint64) *SyncResponse {
	t.Helper()
	for {
		res, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if res.GetRevision() >= revision {
			return res
		}
	}
}

func named(names ...string) []*pluginv1.ProxyService {
	var services []*pluginv1.ProxyService
	for _, n := range names {
		services = append(services, &pluginv1.ProxyService{Namespace: "d", Name: n})
	}
	return services
}

func TestChangesAreMergedWhileASyncIsUnderWay(t *testing.T) {
	f := &fake{gate: make(chan struct{})}
	_, s := open(t, f, time.Hour)
	send(t, s, &SyncRequest{Revision: 1, Full: true, Set: named("a", "b")})
	f.gate <- struct{}{}
	acknowledged(t, s, 1)
	send(t, s, &SyncRequest{Revision: 2, Set: named("c")})
	send(t, s, &SyncRequest{Revision: 3, Removed: []string{"d/a"}})
	send(t, s, &SyncRequest{Revision: 4, Set: named("c", "d")})
	close(f.gate)
	if res := acknowledged(t, s, 4); res.GetErrors()["d/broken"] != "why" {
		t.Errorf("the response is %v", res)
	}
	states := f.seen()
	if first := states[0]; !first.All || len(first.Services) != 2 {
		t.Errorf("the first state is %+v", first)
	}
	var changed []string
	for _, state := range states[1:] {
		if state.All {
			t.Errorf("a change came as %+v", state)
		}
		changed = append(changed, state.Changed...)
	}
	slices.Sort(changed)
	if got := fmt.Sprint(slices.Compact(changed)); got != "[d/a d/c d/d]" {
		t.Errorf("changed: %s", got)
	}
	if last := states[len(states)-1]; len(last.Services) != 3 || last.Services["d/a"] != nil {
		t.Errorf("the last state has %v", last.Services)
	}
}

func TestAFailedSyncIsTriedAgainWithAllThatItHadToDo(t *testing.T) {
	f := &fake{fail: 2}
	_, s := open(t, f, time.Hour)
	send(t, s, &SyncRequest{Revision: 7, Full: true, Set: named("a")})
	acknowledged(t, s, 7)
	states := f.seen()
	if len(states) != 3 {
		t.Fatalf("%d calls", len(states))
	}
	for _, state := range states {
		if !state.All || state.Revision != 7 || !slices.Equal(state.Changed, []string{"d/a"}) {
			t.Errorf("tried with %+v", state)
		}
	}
}

func TestARevisionWithoutChangesIsAcknowledged(t *testing.T) {
	f := &fake{}
	_, s := open(t, f, time.Hour)
	send(t, s, &SyncRequest{Revision: 1, Full: true})
	acknowledged(t, s, 1)
	send(t, s, &SyncRequest{Revision: 2})
	acknowledged(t, s, 2)
	if last := f.seen()[1]; last.All || len(last.Changed) != 0 {
		t.Errorf("nothing changed, and so came %+v", last)
	}
}

func TestRulesThatAreGoneAreMadeAgain(t *testing.T) {
	f := &fake{}
	_, s := open(t, f, 5*time.Millisecond)
	send(t, s, &SyncRequest{Revision: 1, Full: true, Set: named("a")})
	acknowledged(t, s, 1)
	before := len(f.seen())
	f.mu.Lock()
	f.intact = false
	f.mu.Unlock()
	acknowledged(t, s, 1)
	states := f.seen()
	if len(states) <= before || !states[len(states)-1].All || len(states[len(states)-1].Services) != 1 {
		t.Errorf("made again with %+v", states[before:])
	}
}

func TestTheStreamEndsWithItsLastState(t *testing.T) {
	f := &fake{}
	c, s := open(t, f, time.Hour)
	send(t, s, &SyncRequest{Revision: 3, Full: true})
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	acknowledged(t, s, 3)
	if _, err := s.Recv(); err == nil || err.Error() != "EOF" {
		t.Errorf("the stream ends with %v", err)
	}
	if err := c.Leave(t.Context()); err != nil || f.left != 1 {
		t.Errorf("Leave: %v, %d calls", err, f.left)
	}
}

func TestAStreamMustBeginWithAFullState(t *testing.T) {
	p := newPending()
	if p.merge(&SyncRequest{Revision: 1}) == nil {
		t.Error("a change was taken for a state")
	}
	// A look at rules that were never made asks for nothing.
	p.redo()
	p.close()
	if state, ok := p.next(t.Context()); ok {
		t.Errorf("handed out %+v", state)
	}
}

func TestAFullStateForgetsTheOneBefore(t *testing.T) {
	p := newPending()
	for _, req := range []*SyncRequest{{Revision: 1, Full: true, Set: named("a")}, {Revision: 2, Full: true, Set: named("b")}} {
		if err := p.merge(req); err != nil {
			t.Fatal(err)
		}
	}
	state, _ := p.next(t.Context())
	if !state.All || state.Revision != 2 || len(state.Services) != 1 || state.Services["d/b"] == nil {
		t.Errorf("handed out %+v", state)
	}
	// What comes later does not change a state that was handed out.
	if err := p.merge(&SyncRequest{Revision: 3, Removed: []string{"d/b"}}); err != nil || len(state.Services) != 1 {
		t.Errorf("%v, %+v", err, state)
	}
}
