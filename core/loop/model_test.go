package loop_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/loop"
	"github.com/pintle-io/pintle/core/loop/looptest"
	"github.com/pintle-io/pintle/sdk/controller"
)

// soak is how long the model test runs.
func soak(t *testing.T) time.Duration {
	if text := os.Getenv("PINTLE_SOAK"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	return 3 * time.Second
}

const loopUser = "system:pintle:model"

// witness stands between the runner and the API and checks what the loop does.
type witness struct {
	loop.API
	env    *looptest.Env
	copies int

	mu sync.Mutex
	// wrote is the newest revision that the loop wrote for an owner.
	wrote map[string]uint64
	errs  []error
}

func (w *witness) Create(ctx context.Context, t api.Target, obj runtime.Object, opts api.CreateOptions) (runtime.Object, error) {
	secret, ok := obj.(*corev1.Secret)
	if !ok || auth.UserFrom(ctx).Name != loopUser {
		return w.API.Create(ctx, t, obj, opts)
	}
	// One at a time, so that the count is exact: others only delete.
	w.mu.Lock()
	defer w.mu.Unlock()
	owner := secret.OwnerReferences[0]
	have := 0
	for _, o := range w.env.List("secrets") {
		if o.(*corev1.Secret).OwnerReferences[0].UID == owner.UID {
			have++
		}
	}
	if have >= w.copies {
		w.errs = append(w.errs, fmt.Errorf("%s has %d copies and gets one more", owner.Name, have))
	}
	made, err := w.API.Create(ctx, t, obj, opts)
	if err == nil {
		if rev, err := strconv.ParseUint(made.(metav1.Object).GetResourceVersion(), 10, 64); err == nil {
			w.wrote[owner.Name] = max(w.wrote[owner.Name], rev)
		}
	}
	return made, err
}

// saw checks that a view is no older than what the loop wrote for the key.
func (w *witness) saw(key string, revision uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if revision < w.wrote[key] {
		w.errs = append(w.errs, fmt.Errorf("%s is worked on at revision %d after a write at %d", key, revision, w.wrote[key]))
	}
}

// TestModel lets a loop run while its plugin crashes, hangs, repeats itself and
// makes things up, and while others undo what it does. No copy is made twice,
// no view is older than the loop's own writes, and in the end every key is as
// it ought to be.
func TestModel(t *testing.T) {
	const keys, copiesEach = 12, 5
	// The panics below are logged with their stacks.
	log := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { slog.SetDefault(log) })
	e := looptest.New(t)
	w := &witness{API: e.API, env: e, copies: copiesEach, wrote: map[string]uint64{}}
	opts := e.Options("model")
	opts.API = w
	opts.DecisionTimeout = 200 * time.Millisecond
	opts.StallTimeout = 200 * time.Millisecond
	r := loop.New(opts)

	hangs := &chaos{}
	reconcile := func(ctx context.Context, key controller.Key, view controller.View) (controller.Decision, error) {
		w.saw(key.Name, view.Revision())
		if hangs.on.Load() {
			switch rand.N(150) {
			case 0:
				<-ctx.Done()
			case 1:
				panic("a bug of the controller")
			}
		}
		if key.Name == "invalid" {
			var d controller.Decision
			d.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: "Not a name", OwnerReferences: []metav1.OwnerReference{{Name: "invalid"}}}})
			return d, nil
		}
		return copies(ctx, key, view)
	}
	l := looptest.InProcess(t, copiesSpec(), reconcileFunc(reconcile))
	l.Identity = auth.System("model")
	hangs.Opener = l.Opener
	l.Opener = hangs
	hangs.on.Store(true)
	looptest.Run(t, r, l)

	e.Create(configMap("invalid", map[string]string{"copies": "1"}))
	e.Create(configMap("terminal", map[string]string{"copies": "many"}))
	for i := range keys {
		e.Create(configMap(fmt.Sprint("cm-", i), map[string]string{"copies": fmt.Sprint(copiesEach)}))
	}
	for end := time.Now().Add(soak(t)); time.Now().Before(end); {
		disturb(e, keys)
		time.Sleep(time.Millisecond)
	}
	hangs.on.Store(false)
	want := map[string]int{}
	for i := range keys {
		want[fmt.Sprint("cm-", i)] = copiesEach
	}
	secretsOf(e, want)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, err := range w.errs {
		t.Error(err)
	}
	t.Logf("%d streams broken, %+v", hangs.broken.Load(), r.Status())
}

// disturb does one thing that another writer might.
func disturb(e *looptest.Env, keys int) {
	switch rand.N(3) {
	case 0:
		secrets := e.List("secrets")
		if len(secrets) > 0 {
			victim := secrets[rand.N(len(secrets))]
			_, _, _ = e.API.Delete(e.Admin, e.Target(victim), api.DeleteOptions{})
		}
	case 1:
		name := fmt.Sprint("cm-", rand.N(keys))
		cm := e.Get("configmaps", "default", name).(*corev1.ConfigMap)
		cm.Data["noise"] = fmt.Sprint(rand.N(1000))
		_, _ = e.API.Update(e.Admin, e.Target(cm), cm, api.UpdateOptions{})
	case 2:
		secrets := e.List("secrets")
		if len(secrets) > 0 {
			s := secrets[rand.N(len(secrets))].(*corev1.Secret)
			s.Labels = map[string]string{"noise": fmt.Sprint(rand.N(1000))}
			_, _ = e.API.Update(e.Admin, e.Target(s), s, api.UpdateOptions{})
		}
	}
}
