package loop_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/loop"
	"github.com/pintle-io/pintle/core/loop/looptest"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller"
	"github.com/pintle-io/pintle/sdk/controller/stream"
)

// TestSwap hands a loop from instance to instance while it works. The witness
// sees that nothing is decided twice.
func TestSwap(t *testing.T) {
	const keys, copiesEach, swaps = 5, 4, 20
	e := looptest.New(t)
	w := &witness{API: e.API, env: e, copies: copiesEach, wrote: map[string]uint64{}}
	opts := e.Options("swap")
	opts.API = w
	r := loop.New(opts)
	for i := range keys {
		e.Create(configMap(fmt.Sprint("cm-", i), map[string]string{"copies": fmt.Sprint(copiesEach)}))
	}
	start := func() <-chan error {
		l := looptest.InProcess(t, copiesSpec(), reconcileFunc(copies))
		l.Identity = auth.System("model")
		done := make(chan error, 1)
		go func() { done <- r.Run(t.Context(), l) }()
		return done
	}
	before := start()
	looptest.Eventually(t, "the first runs", func() (bool, string) { return r.Status().Phase == loop.PhaseRunning, "" })
	for range swaps {
		disturb(e, keys)
		after := start()
		disturb(e, keys)
		select {
		case err := <-before:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the instance before did not end")
		}
		before = after
	}
	want := map[string]int{}
	for i := range keys {
		want[fmt.Sprint("cm-", i)] = copiesEach
	}
	secretsOf(e, want)
	if err := r.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-before; err != nil {
		t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, err := range w.errs {
		t.Error(err)
	}
}

func TestShadowIsKeptAndNotApplied(t *testing.T) {
	e := looptest.New(t)
	opts := e.Options("shadow")
	opts.Shadow = true
	looptest.Run(t, loop.New(opts), looptest.InProcess(t, copiesSpec(), reconcileFunc(copies)))
	e.Create(configMap("cm", map[string]string{"copies": "3"}))
	key := loop.Key{Kind: schema.GroupKind{Kind: "ConfigMap"}, Namespace: "default", Name: "cm"}
	looptest.Eventually(t, "a record", func() (bool, string) {
		records := opts.Journal.Explain(key)
		if len(records) == 0 {
			return false, ""
		}
		rec := records[0]
		return rec.Shadow && len(rec.Actions) == 3 && rec.Reason == "0 of 3 are there", fmt.Sprintf("%+v", rec)
	})
	if n := len(e.List("secrets")); n != 0 {
		t.Errorf("%d objects were made", n)
	}
}

func TestJournalTellsWhy(t *testing.T) {
	e := looptest.New(t)
	opts := e.Options("why")
	looptest.Run(t, loop.New(opts), looptest.InProcess(t, copiesSpec(), reconcileFunc(copies)))
	e.Create(configMap("cm", map[string]string{"copies": "1"}))
	secretsOf(e, map[string]int{"cm": 1})
	secret := e.List("secrets")[0].(*corev1.Secret)
	key := loop.Key{Kind: schema.GroupKind{Kind: "Secret"}, Namespace: "default", Name: secret.Name}
	looptest.Eventually(t, "the record of what was made", func() (bool, string) {
		records := opts.Journal.Explain(key)
		if len(records) != 1 {
			return false, fmt.Sprint(records)
		}
		rec := records[0]
		return rec.Loop == "why" && rec.Key.Name == "cm" && rec.Reason == "0 of 1 are there" && rec.Revision > 0 &&
			rec.Actions[0].Verb == "create" && rec.Actions[0].Revision > 0 && !rec.Applied.Before(rec.Decided), fmt.Sprintf("%+v", rec)
	})
}

// scripted opens streams that a function serves.
func scripted(t *testing.T, serve func(stream.ServerStream) error) loop.Loop {
	l := looptest.InProcess(t, copiesSpec(), reconcileFunc(copies))
	l.Opener = stream.InProcess(serve)
	return l
}

func statusSays(t *testing.T, r *loop.Runner, text string) {
	t.Helper()
	looptest.Eventually(t, "status says "+text, func() (bool, string) {
		s := r.Status()
		return strings.Contains(s.LastError, text), fmt.Sprintf("%+v", s)
	})
}

func TestFloodIsCutOff(t *testing.T) {
	e := looptest.New(t)
	r := loop.New(e.Options("flood"))
	looptest.Run(t, r, scripted(t, func(s stream.ServerStream) error {
		for {
			if err := s.Send(&pluginv1.Decision{WorkId: 77}); err != nil {
				return err
			}
		}
	}))
	statusSays(t, r, "floods the core")
}

func TestPluginThatReadsNothingIsCutOff(t *testing.T) {
	e := looptest.New(t)
	opts := e.Options("deaf")
	opts.StallTimeout, opts.DecisionTimeout = 50*time.Millisecond, 50*time.Millisecond
	r := loop.New(opts)
	looptest.Run(t, r, scripted(t, func(s stream.ServerStream) error {
		<-s.Context().Done()
		return s.Context().Err()
	}))
	for i := range 50 {
		e.Create(configMap(fmt.Sprint("cm-", i), nil))
	}
	statusSays(t, r, "hangs")
}

func TestHangCostsTheKeyOneTry(t *testing.T) {
	e := looptest.New(t)
	opts := e.Options("hang")
	opts.DecisionTimeout = 50 * time.Millisecond
	r := loop.New(opts)
	var hung atomic.Bool
	looptest.Run(t, r, looptest.InProcess(t, copiesSpec(), reconcileFunc(func(ctx context.Context, key controller.Key, view controller.View) (controller.Decision, error) {
		if key.Name == "cm" && !hung.Swap(true) {
			<-ctx.Done()
		}
		return copies(ctx, key, view)
	})))
	e.Create(configMap("cm", map[string]string{"copies": "2"}))
	e.Create(configMap("other", map[string]string{"copies": "2"}))
	secretsOf(e, map[string]int{"cm": 2, "other": 2})
	statusSays(t, r, "no decision about ConfigMap/default/cm")
}

func TestFailuresAreToldWithTheNextWork(t *testing.T) {
	e := looptest.New(t)
	failures := make(chan controller.Failure, 100)
	looptest.Run(t, loop.New(e.Options("refused")), looptest.InProcess(t, copiesSpec(), reconcileFunc(func(_ context.Context, key controller.Key, view controller.View) (controller.Decision, error) {
		var d controller.Decision
		for _, f := range view.Failures() {
			select {
			case failures <- f:
			default:
			}
		}
		if key.Name == "cm" {
			d.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: "Not a name"}}).
				OnFailure(corev1.EventTypeWarning, "FailedCopy", "Error creating: {error}")
		}
		return d, nil
	})))
	e.Create(configMap("cm", nil))
	if f := <-failures; f.Code != 422 || f.Reason != "Invalid" {
		t.Errorf("got %+v", f)
	}
	looptest.Eventually(t, "the event", func() (bool, string) {
		for _, obj := range e.List("events") {
			if ev := obj.(*corev1.Event); ev.Reason == "FailedCopy" && strings.Contains(ev.Message, "Not a name") && ev.Type == corev1.EventTypeWarning {
				return true, ""
			}
		}
		return false, ""
	})
}

func TestGuardStopsTheWholeDecision(t *testing.T) {
	e := looptest.New(t)
	refused := make(chan controller.Failure, 100)
	looptest.Run(t, loop.New(e.Options("guard")), looptest.InProcess(t, copiesSpec(), reconcileFunc(func(_ context.Context, key controller.Key, view controller.View) (controller.Decision, error) {
		var d controller.Decision
		for _, f := range view.Failures() {
			select {
			case refused <- f:
			default:
			}
		}
		if cm, ok := controller.Get[*corev1.ConfigMap](view, key.Namespace, key.Name); ok && len(view.Failures()) == 0 {
			other := cm.DeepCopy()
			other.UID = "another"
			d.Guard(other)
			d.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: "must-not-be"}})
		}
		return d, nil
	})))
	e.Create(configMap("cm", nil))
	if f := <-refused; f.Code != 409 {
		t.Errorf("got %+v", f)
	}
	if e.Get("secrets", "default", "must-not-be") != nil {
		t.Error("the decision was applied in part")
	}
}

func TestWhatCantBeServedIsSaid(t *testing.T) {
	e := looptest.New(t)
	for _, tt := range []struct {
		name string
		spec *pluginv1.LoopSpec
		want string
	}{
		{"no loop", nil, "describes no loop"},
		{"no watches", &pluginv1.LoopSpec{KeyKind: cmKind()}, "0 watches"},
		{"unknown kind", &pluginv1.LoopSpec{KeyKind: &pluginv1.GroupVersionKind{Version: "v1", Kind: "Toaster"}}, "Toaster of v1 is not served"},
		{"no trigger", &pluginv1.LoopSpec{KeyKind: cmKind(), Watches: []*pluginv1.Watch{{Kind: cmKind()}}}, "trigger"},
		{"bad selector", &pluginv1.LoopSpec{KeyKind: cmKind(), Watches: []*pluginv1.Watch{{Kind: cmKind(), LabelSelector: "!!", Trigger: pluginv1.Trigger_TRIGGER_SELF}}}, "label selector"},
		{"bad field", &pluginv1.LoopSpec{KeyKind: cmKind(), Watches: []*pluginv1.Watch{{Kind: cmKind(), Fields: []string{"spec.nothing"}, Trigger: pluginv1.Trigger_TRIGGER_SELF}}}, `"spec.nothing"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := loop.New(e.Options("x")).Run(t.Context(), loop.Loop{Spec: tt.spec, Opener: noOpener{}})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestWhatIsNotGranted runs a loop as a plugin that no Plugin object grants
// anything.
func TestWhatIsNotGranted(t *testing.T) {
	e := looptest.New(t)
	r := loop.New(e.Options("stranger"))
	l := looptest.InProcess(t, copiesSpec(), reconcileFunc(copies))
	l.Identity = auth.Plugin("controller", "stranger")
	looptest.Run(t, r, l)
	statusSays(t, r, "forbidden")
}

func cmKind() *pluginv1.GroupVersionKind {
	return &pluginv1.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
}

type noOpener struct{}

func (noOpener) Open(context.Context) (stream.Session, error) {
	return nil, errors.New("not to be opened")
}
