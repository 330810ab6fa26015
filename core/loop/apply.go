package loop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/core/api"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// applier applies one decision.
type applier struct {
	session  *session
	key      Key
	decision *pluginv1.Decision

	mu       sync.Mutex
	results  []*pluginv1.ActionResult
	failures []*pluginv1.ActionResult
	// revision of the newest change to a kind that the loop watches.
	revision uint64
	tried    int
}

// result is the decision's fate, for metrics.
func (a *applier) result() string {
	switch {
	case a.session.runner.opts.Shadow:
		return "shadow"
	case a.decision.GetError() != nil:
		return "error"
	case len(a.failures) > 0:
		return "failed"
	case len(a.decision.GetActions()) == 0:
		return "empty"
	}
	return "applied"
}

func (a *applier) apply(ctx context.Context) {
	if a.session.runner.opts.Shadow {
		return
	}
	actions := a.decision.GetActions()
	a.results = make([]*pluginv1.ActionResult, len(actions))
	for i := range a.results {
		a.results[i] = &pluginv1.ActionResult{Skipped: true}
	}
	switch {
	case a.decision.GetError() != nil:
		// Only its events are told.
	case len(actions) == 0:
		return
	default:
		if err := a.guard(ctx); err != nil {
			a.fail(0, "guard", "", err)
			return
		}
		if a.decision.GetOrder() == pluginv1.Decision_ORDER_GROWING_BATCHES {
			a.growing(ctx, actions)
		} else {
			a.inTurn(ctx, actions)
		}
	}
	for i, action := range actions {
		if e := action.GetEvent(); e != nil {
			a.tell(e, "", "")
			a.results[i] = &pluginv1.ActionResult{}
		}
	}
	a.trim()
}

// trim takes off the actions at the end that were not tried.
func (a *applier) trim() {
	n := len(a.results)
	for n > 0 && a.results[n-1].Skipped {
		n--
	}
	a.results = a.results[:n]
}

func (a *applier) inTurn(ctx context.Context, actions []*pluginv1.Action) {
	for i, action := range actions {
		if !a.do(ctx, i, action) {
			return
		}
	}
}

// growing applies batches of 1, 2, 4 and so on.
func (a *applier) growing(ctx context.Context, actions []*pluginv1.Action) {
	for start, size := 0, 1; start < len(actions); size *= 2 {
		end := min(start+size, len(actions))
		var batch sync.WaitGroup
		var failed sync.Once
		ok := true
		for i := start; i < end; i++ {
			a.session.runner.parallel <- struct{}{}
			batch.Go(func() {
				defer func() { <-a.session.runner.parallel }()
				if !a.do(ctx, i, actions[i]) {
					failed.Do(func() { ok = false })
				}
			})
		}
		batch.Wait()
		if !ok {
			return
		}
		start = end
	}
}

// do applies one action and tells of it.
func (a *applier) do(ctx context.Context, i int, action *pluginv1.Action) bool {
	if action.GetEvent() != nil {
		return true
	}
	done, err := a.session.runner.act(ctx, action)
	if err != nil {
		a.fail(i, done.verb, done.name, err)
		if e := action.GetOnFailure(); e != nil {
			a.tell(e, done.name, err.Error())
		}
		return false
	}
	opts := &a.session.runner.opts
	opts.Metrics.actions.WithLabelValues(opts.Name, done.verb, "OK").Inc()
	a.mu.Lock()
	a.tried++
	a.results[i] = &pluginv1.ActionResult{Name: done.name, Revision: done.revision}
	if a.session.spec.watchesKind(done.kind) {
		a.revision = max(a.revision, done.revision)
	}
	a.mu.Unlock()
	a.session.runner.noteWrite(done.kind, done.revision)
	if e := action.GetOnSuccess(); e != nil {
		a.tell(e, done.name, "")
	}
	return true
}

func (a *applier) fail(i int, verb, name string, err error) {
	res := refusal(name, err)
	opts := &a.session.runner.opts
	opts.Metrics.actions.WithLabelValues(opts.Name, verb, res.GetReason()).Inc()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tried++
	if i < len(a.results) {
		a.results[i] = res
	} else {
		a.results = append(a.results, res)
	}
	a.failures = append(a.failures, res)
}

// guard checks what the whole decision depends on.
func (a *applier) guard(ctx context.Context) error {
	for _, ref := range a.decision.GetGuards() {
		kind, err := a.session.runner.kind(ref.GetKind())
		if err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
		obj, err := a.session.runner.opts.API.Get(ctx, target(kind, ref, ""), api.GetOptions{})
		if err != nil {
			return err
		}
		m, err := metaOf(obj)
		if err != nil {
			return err
		}
		conflict := func(format string, args ...any) error {
			return apierrors.NewConflict(kind.GroupResource(), ref.GetName(), fmt.Errorf(format, args...))
		}
		switch {
		case ref.GetUid() != "" && string(m.GetUID()) != ref.GetUid():
			return conflict("the decision is about uid %s, but the object's is %s now", ref.GetUid(), m.GetUID())
		case ref.GetRevision() != 0 && m.GetResourceVersion() != strconv.FormatUint(ref.GetRevision(), 10):
			return conflict("the decision is about revision %d, but the object is at %s now", ref.GetRevision(), m.GetResourceVersion())
		case m.GetDeletionTimestamp() != nil:
			return conflict("the object is being deleted since %s", m.GetDeletionTimestamp())
		}
	}
	return nil
}

// tell hands an event to the recorder.
func (a *applier) tell(e *pluginv1.Event, name, failure string) {
	message := strings.NewReplacer("{name}", name, "{error}", failure).Replace(e.GetMessage())
	a.session.runner.events.record(a.session.about(a.key), e, message)
}

// refusal is the API's answer as the contract has it.
func refusal(name string, err error) *pluginv1.ActionResult {
	out := &pluginv1.ActionResult{Name: name, Code: http.StatusInternalServerError, Reason: string(metav1.StatusReasonInternalError), Message: err.Error()}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		s := status.Status()
		out.Code, out.Reason, out.Message = s.Code, string(s.Reason), s.Message
	}
	return out
}
