package looptest

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

// Env is a real API over a real store.
type Env struct {
	T     testing.TB
	API   *api.Service
	Kinds *registry.Registry
	Log   *slog.Logger
	// Admin may do everything.
	Admin context.Context
}

// New makes an Env that ends with the test, with the namespaces that every
// cluster has.
func New(t testing.TB) *Env {
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
	e := &Env{T: t, API: service, Kinds: kinds, Log: log, Admin: auth.WithUser(context.Background(), auth.Admin())}
	for _, ns := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, corev1.NamespaceNodeLease} {
		e.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
	}
	return e
}

// Options returns those of a runner that retries fast.
func (e *Env) Options(name string) loop.Options {
	return loop.Options{
		Name: name, API: e.API, Source: loop.NewSource(e.API, e.Log), Kinds: e.Kinds, Logger: e.Log,
		Journal: loop.NewJournal(0, 0),
		Backoff: loop.Backoff{Base: time.Millisecond, Max: 50 * time.Millisecond},
		Restart: loop.Backoff{Base: time.Millisecond, Max: 20 * time.Millisecond},
	}
}

// Target names an object, by its Go type.
func (e *Env) Target(obj runtime.Object) api.Target {
	e.T.Helper()
	gvks, _, err := e.Kinds.Scheme().ObjectKinds(obj)
	if err != nil {
		e.T.Fatal(err)
	}
	kind, ok := e.Kinds.ByKind(gvks[0])
	if !ok {
		e.T.Fatalf("%s is not served", gvks[0])
	}
	m := obj.(metav1.Object)
	return api.Target{Resource: kind.GroupResource(), Namespace: m.GetNamespace(), Name: m.GetName()}
}

// Create makes an object.
func (e *Env) Create(obj runtime.Object) runtime.Object {
	e.T.Helper()
	t := e.Target(obj)
	t.Name = ""
	made, err := e.API.Create(e.Admin, t, obj, api.CreateOptions{})
	if err != nil {
		e.T.Fatal(err)
	}
	return made
}

// List returns all objects of a resource of the core group.
func (e *Env) List(resource string) []runtime.Object {
	e.T.Helper()
	l, err := e.API.List(e.Admin, api.Target{Resource: schema.GroupResource{Resource: resource}}, api.ListOptions{})
	if err != nil {
		e.T.Fatal(err)
	}
	return l.Items
}

// Run runs a loop until the test ends, and returns a way to end it sooner.
func Run(t testing.TB, r *loop.Runner, l loop.Loop) (stop func()) {
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

// InProcess makes a loop of a reconciler.
func InProcess(t testing.TB, spec controller.Spec, r controller.Reconciler) loop.Loop {
	t.Helper()
	l, opener, err := controller.InProcess(spec, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return loop.Loop{Identity: auth.System("test"), Spec: l, Opener: opener}
}

// Eventually polls until a condition holds.
func Eventually(t testing.TB, what string, cond func() (bool, string)) {
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

// Get returns an object of the core group, nil where it is not there.
func (e *Env) Get(resource, namespace, name string) runtime.Object {
	e.T.Helper()
	t := api.Target{Resource: schema.GroupResource{Resource: resource}, Namespace: namespace, Name: name}
	obj, err := e.API.Get(e.Admin, t, api.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		e.T.Fatal(err)
	}
	return obj
}

// Update writes an object.
func (e *Env) Update(obj runtime.Object) runtime.Object {
	e.T.Helper()
	left, err := e.API.Update(e.Admin, e.Target(obj), obj, api.UpdateOptions{})
	if err != nil {
		e.T.Fatal(err)
	}
	return left
}

// UpdateStatus writes an object's status.
func (e *Env) UpdateStatus(obj runtime.Object) runtime.Object {
	e.T.Helper()
	t := e.Target(obj)
	t.Subresource = "status"
	left, err := e.API.Update(e.Admin, t, obj, api.UpdateOptions{})
	if err != nil {
		e.T.Fatal(err)
	}
	return left
}

// Delete deletes an object.
func (e *Env) Delete(obj runtime.Object, opts api.DeleteOptions) {
	e.T.Helper()
	if _, _, err := e.API.Delete(e.Admin, e.Target(obj), opts); err != nil {
		e.T.Fatal(err)
	}
}
