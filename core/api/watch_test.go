package api_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/pintle-io/pintle/core/api"
)

// eventReader reads a watch event by event.
type eventReader struct {
	t     *testing.T
	w     *api.Watch
	batch []api.Event
}

func (c *cluster) watch(t *testing.T, target api.Target, opts api.WatchOptions) *eventReader {
	t.Helper()
	w, err := c.Watch(c.ctx, target, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return &eventReader{t: t, w: w}
}

func (r *eventReader) next() *api.Event {
	r.t.Helper()
	if len(r.batch) == 0 {
		select {
		case batch, ok := <-r.w.Events():
			if !ok {
				r.t.Fatalf("the watch ended: %v", r.w.Err())
			}
			r.batch = batch
		case <-time.After(20 * time.Second):
			r.t.Fatal("no event came")
		}
	}
	e := &r.batch[0]
	r.batch = r.batch[1:]
	return e
}

// want checks the type and object name of the next event.
func (r *eventReader) want(typ watch.EventType, name string) *api.Event {
	r.t.Helper()
	e := r.next()
	obj, err := e.Object()
	if err != nil {
		r.t.Fatal(err)
	}
	m := obj.(metav1.ObjectMetaAccessor).GetObjectMeta()
	if e.Type != typ || m.GetName() != name {
		r.t.Fatalf("got %s %s, want %s %s", e.Type, m.GetName(), typ, name)
	}
	if m.GetResourceVersion() != api.FormatRevision(e.Revision) {
		r.t.Fatalf("%s %s has resourceVersion %s in an event of revision %d", typ, name, m.GetResourceVersion(), e.Revision)
	}
	return e
}

func TestWatchFollowsChanges(t *testing.T) {
	c := newCluster(t)
	c.createPod("before")
	r := c.watch(t, in(pods, ""), api.WatchOptions{})
	r.want(watch.Added, "before")
	pod := c.createPod("web")
	added := r.want(watch.Added, "web")
	pod.Labels["x"] = "y"
	must[any](t)(c.Update(c.ctx, in(pods, "web"), pod.DeepCopy(), api.UpdateOptions{}))
	r.want(watch.Modified, "web")
	if _, _, err := c.Delete(c.ctx, in(pods, "web"), api.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	deleted := r.want(watch.Deleted, "web")
	if obj, _ := deleted.Object(); obj.(*corev1.Pod).Labels["x"] != "y" {
		t.Error("the deleted object is not its last state")
	}
	resumed := c.watch(t, in(pods, ""), api.WatchOptions{ResourceVersion: api.FormatRevision(added.Revision)})
	resumed.want(watch.Modified, "web")
	resumed.want(watch.Deleted, "web")
}

func TestWatchTranslatesForSelectors(t *testing.T) {
	c := newCluster(t)
	r := c.watch(t, in(configMaps, ""), api.WatchOptions{LabelSelector: "show=yes"})
	set := func(name, value string) {
		t.Helper()
		obj, err := c.Get(c.ctx, in(configMaps, name), api.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		cm := obj.(*corev1.ConfigMap)
		cm.Labels = map[string]string{"show": value, "n": cm.ResourceVersion}
		must[any](t)(c.Update(c.ctx, in(configMaps, name), cm, api.UpdateOptions{}))
	}
	must[any](t)(c.Create(c.ctx, in(configMaps, ""), newConfigMap("a"), api.CreateOptions{}))
	set("a", "no")
	set("a", "yes")
	r.want(watch.Added, "a")
	set("a", "yes")
	r.want(watch.Modified, "a")
	set("a", "no")
	r.want(watch.Deleted, "a")
	set("a", "yes")
	r.want(watch.Added, "a")
	if _, _, err := c.Delete(c.ctx, in(configMaps, "a"), api.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.want(watch.Deleted, "a")
}

func TestWatchByFields(t *testing.T) {
	c := newCluster(t)
	node := c.watch(t, api.Target{Resource: pods}, api.WatchOptions{FieldSelector: "spec.nodeName=n1"})
	one := c.watch(t, in(pods, ""), api.WatchOptions{FieldSelector: "metadata.name=web"})
	c.bound("web-2", "n1")
	c.bound("web", "n2")
	node.want(watch.Added, "web-2")
	one.want(watch.Added, "web")
	one.want(watch.Modified, "web")
}

func TestWatchList(t *testing.T) {
	c := newCluster(t)
	c.createPod("a")
	c.createPod("b")
	yes := true
	r := c.watch(t, in(pods, ""), api.WatchOptions{
		SendInitialEvents: &yes, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true,
	})
	r.want(watch.Added, "a")
	r.want(watch.Added, "b")
	mark := r.want(watch.Bookmark, "")
	obj, err := mark.Object()
	if err != nil {
		t.Fatal(err)
	}
	if !mark.InitialEventsEnd || obj.(*corev1.Pod).Annotations[metav1.InitialEventsAnnotationKey] != "true" {
		t.Errorf("got %+v", obj)
	}
	c.createPod("c")
	for {
		if e := r.next(); e.Type != watch.Bookmark {
			if e.Type != watch.Added {
				t.Errorf("got %s", e.Type)
			}
			break
		}
	}
	_, err = c.Watch(c.ctx, in(pods, ""), api.WatchOptions{SendInitialEvents: &yes})
	if !apierrors.IsInvalid(err) {
		t.Errorf("without resourceVersionMatch: %v", err)
	}
}

func TestWatchOfTheLostPast(t *testing.T) {
	c := newCluster(t)
	first := c.createPod("a")
	c.createPod("b")
	newest, err := c.Revision(c.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.store.Compact(c.ctx, newest); err != nil {
		t.Fatal(err)
	}
	w, err := c.Watch(c.ctx, in(pods, ""), api.WatchOptions{ResourceVersion: first.ResourceVersion})
	if !apierrors.IsResourceExpired(err) {
		t.Fatalf("got %v, %v", w, err)
	}
	_, err = c.Watch(c.ctx, in(pods, ""), api.WatchOptions{ResourceVersion: "999999"})
	if !apierrors.IsTimeout(err) {
		t.Errorf("future: %v", err)
	}
}

func TestWatchTimeoutEndsQuietly(t *testing.T) {
	c := newCluster(t)
	one := int64(1)
	w, err := c.Watch(c.ctx, in(pods, ""), api.WatchOptions{TimeoutSeconds: &one})
	if err != nil {
		t.Fatal(err)
	}
	for range w.Events() {
		t.Error("an event came")
	}
	if w.Err() != nil {
		t.Error(w.Err())
	}
}

// A watch of several kinds is one sequence in revision order.
func TestWatchTargetsMergesByRevision(t *testing.T) {
	c := newCluster(t)
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	after, err := c.Revision(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.WatchTargets(ctx, []api.WatchTarget{{Target: api.Target{Resource: pods}}, {Target: api.Target{Resource: configMaps}}}, api.MultiWatchOptions{After: after})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	const each = 30
	var wg sync.WaitGroup
	for worker := range 3 {
		wg.Go(func() {
			for i := range each {
				name := fmt.Sprintf("o-%d-%d", worker, i)
				if _, err := c.Create(ctx, in(pods, ""), newPod(name), api.CreateOptions{}); err != nil {
					t.Error(err)
				}
				if _, err := c.Create(ctx, in(configMaps, ""), newConfigMap(name), api.CreateOptions{}); err != nil {
					t.Error(err)
				}
				if _, err := c.Create(ctx, in(secrets, ""), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}, api.CreateOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	r := &eventReader{t: t, w: w}
	last, perTarget := after, [2]int{}
	for range 2 * 3 * each {
		e := r.next()
		if e.Revision <= last {
			t.Fatalf("revision %d after %d", e.Revision, last)
		}
		last = e.Revision
		perTarget[e.Target]++
	}
	wg.Wait()
	if perTarget != [2]int{3 * each, 3 * each} {
		t.Errorf("events per target %v", perTarget)
	}
}
