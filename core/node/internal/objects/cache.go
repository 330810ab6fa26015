package objects

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/pintle-io/pintle/core/node/internal/podspec"
)

const (
	// pollPeriod is between two readings of an object that can't be watched.
	pollPeriod  = 60 * time.Second
	readTimeout = 10 * time.Second
)

// Kind of an object.
type Kind string

// The kinds.
const (
	ConfigMap Kind = "ConfigMap"
	Secret    Kind = "Secret"
)

// Ref names an object.
type Ref struct {
	Kind            Kind
	Namespace, Name string
}

// Cache of the objects that pods refer to.
type Cache struct {
	client  kubernetes.Interface
	log     *slog.Logger
	changed func(types.UID)
	ctx     context.Context
	wg      sync.WaitGroup

	mu    sync.Mutex
	refs  map[Ref]*item
	byPod map[types.UID]map[Ref]struct{}
}

type item struct {
	cancel context.CancelFunc
	pods   map[types.UID]struct{}
	// loaded is closed once the first reading has ended.
	loaded chan struct{}
	obj    runtime.Object
	err    error
}

var _ podspec.Objects = (*Cache)(nil)

// New makes a cache that lives as long as ctx and calls changed, which must not
// block, for each pod that refers to an object that changed.
func New(ctx context.Context, client kubernetes.Interface, log *slog.Logger, changed func(types.UID)) *Cache {
	return &Cache{
		client: client, log: log, changed: changed, ctx: ctx,
		refs: map[Ref]*item{}, byPod: map[types.UID]map[Ref]struct{}{},
	}
}

// Wait returns when all goroutines have ended, after ctx did.
func (c *Cache) Wait() { c.wg.Wait() }

// Register keeps exactly the objects that the pod refers to.
func (c *Cache) Register(pod *corev1.Pod) { c.set(pod.UID, References(pod)) }

// Unregister lets a pod's objects go.
func (c *Cache) Unregister(uid types.UID) { c.set(uid, nil) }

func (c *Cache) set(uid types.UID, want map[Ref]struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	have := c.byPod[uid]
	for ref := range want {
		if _, ok := have[ref]; ok {
			continue
		}
		it := c.refs[ref]
		if it == nil {
			ctx, cancel := context.WithCancel(c.ctx)
			it = &item{cancel: cancel, pods: map[types.UID]struct{}{}, loaded: make(chan struct{})}
			c.refs[ref] = it
			c.wg.Go(func() { c.follow(ctx, ref, it) })
		}
		it.pods[uid] = struct{}{}
	}
	for ref := range have {
		if _, ok := want[ref]; ok {
			continue
		}
		it := c.refs[ref]
		delete(it.pods, uid)
		if len(it.pods) == 0 {
			it.cancel()
			delete(c.refs, ref)
		}
	}
	if len(want) == 0 {
		delete(c.byPod, uid)
	} else {
		c.byPod[uid] = want
	}
}

// ConfigMap returns the config map as last seen.
func (c *Cache) ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	obj, err := c.get(ctx, Ref{ConfigMap, namespace, name})
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.ConfigMap), nil
}

// Secret returns the secret as last seen.
func (c *Cache) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	obj, err := c.get(ctx, Ref{Secret, namespace, name})
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.Secret), nil
}

func (c *Cache) get(ctx context.Context, ref Ref) (runtime.Object, error) {
	c.mu.Lock()
	it := c.refs[ref]
	c.mu.Unlock()
	if it == nil {
		return c.read(ctx, ref)
	}
	select {
	case <-it.loaded:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c.mu.Lock()
	obj, err := it.obj, it.err
	c.mu.Unlock()
	if err == nil && obj != nil {
		return obj, nil
	}
	// It was not there, or not to be had, at the last look; a pod that is about
	// to start wants to know of now.
	obj, err = c.read(ctx, ref)
	if err == nil {
		c.mu.Lock()
		if it.err != nil {
			it.obj, it.err = obj, nil
		}
		c.mu.Unlock()
	}
	return obj, err
}

func (c *Cache) read(ctx context.Context, ref Ref) (runtime.Object, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if ref.Kind == ConfigMap {
		return c.client.CoreV1().ConfigMaps(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	}
	return c.client.CoreV1().Secrets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
}

func (c *Cache) watch(ctx context.Context, ref Ref, revision string) (watch.Interface, error) {
	o := metav1.ListOptions{
		FieldSelector:       fields.OneTermEqualSelector("metadata.name", ref.Name).String(),
		ResourceVersion:     revision,
		AllowWatchBookmarks: true,
	}
	if ref.Kind == ConfigMap {
		return c.client.CoreV1().ConfigMaps(ref.Namespace).Watch(ctx, o)
	}
	return c.client.CoreV1().Secrets(ref.Namespace).Watch(ctx, o)
}

// follow keeps one object up to date: read, watch, and read again when the
// watch ends.
func (c *Cache) follow(ctx context.Context, ref Ref, it *item) {
	first := true
	for ctx.Err() == nil {
		obj, err := c.read(ctx, ref)
		if ctx.Err() != nil {
			return
		}
		c.store(it, obj, err, first)
		if first {
			close(it.loaded)
			first = false
		}
		began := time.Now()
		ended := c.followWatch(ctx, ref, it, obj, err)
		wait := time.Second
		if !ended || time.Since(began) < wait {
			wait = pollPeriod/2 + rand.N(pollPeriod/2)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	if first {
		close(it.loaded)
	}
}

// followWatch reports whether a watch was possible.
func (c *Cache) followWatch(ctx context.Context, ref Ref, it *item, obj runtime.Object, err error) bool {
	revision := ""
	switch {
	case err == nil:
		revision = obj.(metav1.Object).GetResourceVersion()
	case !apierrors.IsNotFound(err):
		return false
	}
	w, err := c.watch(ctx, ref, revision)
	if err != nil {
		c.log.Debug("an object can't be watched, it is read from time to time",
			"kind", ref.Kind, "namespace", ref.Namespace, "name", ref.Name, "error", err)
		return false
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return true
		case e, ok := <-w.ResultChan():
			if !ok {
				return true
			}
			switch e.Type {
			case watch.Added, watch.Modified:
				c.store(it, e.Object, nil, false)
			case watch.Deleted:
				c.store(it, nil, apierrors.NewNotFound(corev1.Resource(resourceOf(ref.Kind)), ref.Name), false)
			case watch.Error:
				return true
			}
		}
	}
}

func resourceOf(k Kind) string {
	if k == ConfigMap {
		return "configmaps"
	}
	return "secrets"
}

func (c *Cache) store(it *item, obj runtime.Object, err error, quiet bool) {
	c.mu.Lock()
	if err != nil && !apierrors.IsNotFound(err) && it.obj != nil {
		// Out of reach for now: what was last seen stays.
		c.mu.Unlock()
		return
	}
	same := err == nil && it.err == nil && it.obj != nil && equality.Semantic.DeepEqual(it.obj, obj)
	it.obj, it.err = obj, err
	var pods []types.UID
	if !same && !quiet {
		for uid := range it.pods {
			pods = append(pods, uid)
		}
	}
	c.mu.Unlock()
	for _, uid := range pods {
		c.changed(uid)
	}
}
