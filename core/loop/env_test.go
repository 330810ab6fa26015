package loop_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/loop"
	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/core/store/badger"
	"github.com/pintle-io/pintle/sdk/controller"
)

// env is a real API over a real store.
type env struct {
	t     testing.TB
	api   *api.Service
	kinds *registry.Registry
	admin context.Context
	log   *slog.Logger
}

func newEnv(t testing.TB) *env {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	db, err := badger.Open(badger.Options{Dir: t.TempDir(), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	kinds, err := registry.New(registry.Builtin(registry.Options{})...)
	if err != nil {
		t.Fatal(err)
	}
	service := api.New(api.Options{Store: db, Kinds: kinds, Logger: log})
	t.Cleanup(service.Close)
	e := &env{t: t, api: service, kinds: kinds, log: log, admin: auth.WithUser(context.Background(), auth.Admin())}
	e.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}})
	return e
}

func (e *env) options(name string) loop.Options {
	return loop.Options{
		Name: name, API: e.api, Source: loop.NewSource(e.api, e.log), Kinds: e.kinds, Logger: e.log,
		Journal: loop.NewJournal(0, 0),
		Backoff: loop.Backoff{Base: time.Millisecond, Max: 50 * time.Millisecond},
		Restart: loop.Backoff{Base: time.Millisecond, Max: 20 * time.Millisecond},
	}
}

func (e *env) target(obj runtime.Object) api.Target {
	e.t.Helper()
	gvks, _, err := e.kinds.Scheme().ObjectKinds(obj)
	if err != nil {
		e.t.Fatal(err)
	}
	kind, ok := e.kinds.ByKind(gvks[0])
	if !ok {
		e.t.Fatalf("%s is not served", gvks[0])
	}
	m := obj.(metav1.Object)
	return api.Target{Resource: kind.GroupResource(), Namespace: m.GetNamespace(), Name: m.GetName()}
}

func (e *env) create(obj runtime.Object) runtime.Object {
	e.t.Helper()
	t := e.target(obj)
	t.Name = ""
	made, err := e.api.Create(e.admin, t, obj, api.CreateOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
	return made
}

func (e *env) list(resource string) []runtime.Object {
	e.t.Helper()
	l, err := e.api.List(e.admin, api.Target{Resource: schema.GroupResource{Resource: resource}}, api.ListOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
	return l.Items
}

// run runs a loop until the test ends, and returns a way to end it sooner.
func run(t testing.TB, r *loop.Runner, l loop.Loop) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, l) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func inProcess(t testing.TB, spec controller.Spec, r controller.Reconciler) loop.Loop {
	t.Helper()
	l, opener, err := controller.InProcess(spec, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return loop.Loop{Identity: auth.System("test"), Spec: l, Opener: opener}
}

// eventually polls until a condition holds.
func eventually(t testing.TB, what string, cond func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		ok, state := cond()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s: %s", what, state)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: data}
}

// reconcileFunc is a reconciler without state.
type reconcileFunc func(context.Context, controller.Key, controller.View) (controller.Decision, error)

func (f reconcileFunc) Reconcile(ctx context.Context, k controller.Key, v controller.View) (controller.Decision, error) {
	return f(ctx, k, v)
}

// copies keeps as many Secrets as a ConfigMap's "copies" says, each owned by
// it: a replication controller in small.
func copies(_ context.Context, key controller.Key, view controller.View) (controller.Decision, error) {
	var d controller.Decision
	cm, ok := controller.Get[*corev1.ConfigMap](view, key.Namespace, key.Name)
	if !ok {
		return d, nil
	}
	have := controller.Owned[*corev1.Secret](view, cm.UID)
	var want int
	if _, err := fmt.Sscan(cm.Data["copies"], &want); err != nil {
		return d, controller.Terminal(fmt.Errorf("copies: %w", err))
	}
	d.Because("%d of %d are there", len(have), want)
	for range want - len(have) {
		d.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: cm.Namespace, GenerateName: cm.Name + "-",
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(cm, corev1.SchemeGroupVersion.WithKind("ConfigMap"))},
		}}).OnSuccess(corev1.EventTypeNormal, "Copied", "Made {name}")
	}
	for i := range len(have) - want {
		d.Delete(have[i])
	}
	d.GrowingBatches()
	return d, nil
}

func copiesSpec() controller.Spec {
	return controller.Spec{
		Watches: []controller.Watch{
			{Object: &corev1.ConfigMap{}, Trigger: controller.Self},
			{Object: &corev1.Secret{}, Trigger: controller.Owner, Fields: []string{"type"}},
		},
		MaxInFlight: 8,
	}
}
