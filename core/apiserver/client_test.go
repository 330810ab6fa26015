package apiserver_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/pintle-io/pintle/core/apiserver"
	"github.com/pintle-io/pintle/core/auth"
)

func testPod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "test"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "nginx"}}},
	}
}

// configs are the ways in which client-go may talk to the server.
func (c *cluster) configs() map[string]*rest.Config {
	json := c.admin()
	json.ContentType = runtime.ContentTypeJSON
	protobuf := c.admin()
	protobuf.ContentType = runtime.ContentTypeProtobuf
	protobuf.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	return map[string]*rest.Config{
		"json": json, "protobuf": protobuf,
		"in process": apiserver.InProcessConfig(c.server.Handler(), auth.Admin()),
	}
}

func TestTypedClient(t *testing.T) {
	c := newCluster(t, nil)
	for name, config := range c.configs() {
		t.Run(name, func(t *testing.T) { everyVerb(t, c.clientset(config)) })
	}
}

// everyVerb takes one pod through its life.
func everyVerb(t *testing.T, client kubernetes.Interface) {
	ctx := t.Context()
	pods := client.CoreV1().Pods("default")
	watcher, err := pods.Watch(ctx, metav1.ListOptions{LabelSelector: "app=test", AllowWatchBookmarks: true})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	var seen []watch.EventType
	next := func(want watch.EventType) *corev1.Pod {
		t.Helper()
		for {
			select {
			case e, ok := <-watcher.ResultChan():
				if !ok {
					t.Fatalf("the watch ended while %s was awaited, after %v", want, seen)
				}
				if e.Type == watch.Bookmark {
					continue
				}
				seen = append(seen, e.Type)
				if e.Type != want {
					t.Fatalf("event %s, want %s: %v", e.Type, want, e.Object)
				}
				return e.Object.(*corev1.Pod)
			case <-time.After(30 * time.Second):
				t.Fatalf("waited 30 s for %s", want)
			}
		}
	}

	created, err := pods.Create(ctx, testPod("a"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if e := next(watch.Added); e.UID != created.UID || e.ResourceVersion != created.ResourceVersion {
		t.Errorf("the event is of %s at %s, not of %s at %s", e.UID, e.ResourceVersion, created.UID, created.ResourceVersion)
	}
	if _, err := pods.Create(ctx, testPod("a"), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("create again: %v", err)
	}
	if _, err := pods.Create(ctx, testPod("dry"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Errorf("dry run: %v", err)
	}
	got, err := pods.Get(ctx, "a", metav1.GetOptions{})
	if err != nil || got.UID != created.UID {
		t.Fatalf("get: %v", err)
	}
	got.Labels["color"] = "red"
	updated, err := pods.Update(ctx, got, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	next(watch.Modified)
	got.Labels["color"] = "blue"
	if _, err := pods.Update(ctx, got, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("update of what was read before: %v", err)
	}
	updated.Status.Phase = corev1.PodRunning
	if _, err := pods.UpdateStatus(ctx, updated, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if e := next(watch.Modified); e.Status.Phase != corev1.PodRunning {
		t.Errorf("phase %s", e.Status.Phase)
	}
	patched, err := pods.Patch(ctx, "a", types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"color":null}}}`), metav1.PatchOptions{})
	if err != nil || patched.Labels["color"] != "" {
		t.Fatalf("patch: %v %v", patched.Labels, err)
	}
	next(watch.Modified)
	applied, err := pods.Apply(ctx, applycorev1.Pod("a", "default").WithLabels(map[string]string{"team": "x"}), metav1.ApplyOptions{FieldManager: "test"})
	if err != nil || applied.Labels["team"] != "x" || len(applied.ManagedFields) == 0 {
		t.Fatalf("apply: %+v %v", applied.ObjectMeta, err)
	}
	next(watch.Modified)
	binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Target: corev1.ObjectReference{Kind: "Node", Name: "n"}}
	if err := pods.Bind(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if e := next(watch.Modified); e.Spec.NodeName != "n" {
		t.Errorf("bound to %q", e.Spec.NodeName)
	}
	if err := pods.EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "a"}}); err != nil {
		t.Fatal(err)
	}
	// As in Kubernetes the reason is written first, then the pod is deleted.
	if e := next(watch.Modified); !slices.ContainsFunc(e.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.DisruptionTarget }) {
		t.Errorf("conditions %v", e.Status.Conditions)
	}
	if e := next(watch.Modified); e.DeletionTimestamp == nil {
		t.Error("an evicted pod is not being deleted")
	}
	now := int64(0)
	if err := pods.Delete(ctx, "a", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	next(watch.Deleted)
	if _, err := pods.Get(ctx, "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("get of a deleted pod: %v", err)
	}
}

func TestPagesAndScale(t *testing.T) {
	for _, name := range []string{"json", "protobuf", "in process"} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, nil)
			pagesAndScale(t, c.clientset(c.configs()[name]))
		})
	}
}

func pagesAndScale(t *testing.T, client kubernetes.Interface) {
	ctx := t.Context()
	for i := range 7 {
		if _, err := client.CoreV1().Pods("default").Create(ctx, testPod(fmt.Sprint("p", i)), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	opts := metav1.ListOptions{Limit: 3}
	for pages := 1; ; pages++ {
		list, err := client.CoreV1().Pods("").List(ctx, opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list.Items {
			names = append(names, p.Name)
		}
		if opts.Continue = list.Continue; opts.Continue == "" {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	if want := []string{"p0", "p1", "p2", "p3", "p4", "p5", "p6"}; !slices.Equal(names, want) {
		t.Errorf("listed %v", names)
	}
	if err := client.CoreV1().Pods("default").DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "app=test"}); err != nil {
		t.Fatal(err)
	}
	list, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) != 0 {
		t.Errorf("%d pods are left, %v", len(list.Items), err)
	}

	rc := &corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{Name: "rc"}, Spec: corev1.ReplicationControllerSpec{
		Selector: map[string]string{"a": "b"},
		Template: &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}}, Spec: testPod("x").Spec},
	}}
	rcs := client.CoreV1().ReplicationControllers("default")
	if _, err := rcs.Create(ctx, rc, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	scale, err := rcs.GetScale(ctx, "rc", metav1.GetOptions{})
	if err != nil || scale.Spec.Replicas != 1 {
		t.Fatalf("scale %+v %v", scale, err)
	}
	scale.Spec.Replicas = 4
	if _, err := rcs.UpdateScale(ctx, "rc", scale, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if rc, err = rcs.Get(ctx, "rc", metav1.GetOptions{}); err != nil || *rc.Spec.Replicas != 4 {
		t.Errorf("%v %v", rc.Spec.Replicas, err)
	}
}

func TestDynamicAndMetadataClients(t *testing.T) {
	c := newCluster(t, nil)
	ctx := t.Context()
	plugins := schema.GroupVersionResource{Group: "pintle.io", Version: "v1", Resource: "plugins"}
	for name, config := range c.configs() {
		t.Run(name, func(t *testing.T) {
			client, err := dynamic.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			obj := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "pintle.io/v1", "kind": "Plugin", "metadata": map[string]any{"name": "x"},
				"spec": map[string]any{"type": "scheduler"},
			}}
			if _, err := client.Resource(plugins).Create(ctx, obj, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			list, err := client.Resource(plugins).List(ctx, metav1.ListOptions{})
			if err != nil || len(list.Items) != 1 || list.Items[0].GetName() != "x" {
				t.Errorf("list: %v %v", list, err)
			}
			metas, err := metadata.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			partial, err := metas.Resource(plugins).List(ctx, metav1.ListOptions{})
			if err != nil || len(partial.Items) != 1 || partial.Items[0].Name != "x" {
				t.Errorf("list of metadata: %+v %v", partial, err)
			}
			one, err := metas.Resource(plugins).Get(ctx, "x", metav1.GetOptions{})
			if err != nil || one.Name != "x" {
				t.Errorf("metadata: %+v %v", one, err)
			}
			if err := client.Resource(plugins).Delete(ctx, "x", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Informers see all there is and all that changes, however they begin.
func TestInformers(t *testing.T) {
	for _, mode := range []string{"list then watch", "watch list"} {
		t.Run(mode, func(t *testing.T) {
			c := newCluster(t, nil)
			for name, config := range c.configs() {
				t.Run(name, func(t *testing.T) {
					client := c.clientset(config)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					pods := client.CoreV1().Pods("default")
					for i := range 3 {
						if _, err := pods.Create(ctx, testPod(fmt.Sprint("before", i)), metav1.CreateOptions{}); err != nil {
							t.Fatal(err)
						}
					}
					store, synced := startInformer(ctx, client, mode)
					if !cache.WaitForCacheSync(ctx.Done(), synced) {
						t.Fatal("the informer did not sync")
					}
					if n := len(store.ListKeys()); n != 3 {
						t.Errorf("%d pods at first", n)
					}
					if _, err := pods.Create(ctx, testPod("after"), metav1.CreateOptions{}); err != nil {
						t.Fatal(err)
					}
					eventually(t, "the new pod", func() bool { return len(store.ListKeys()) == 4 })
					if err := pods.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
						t.Fatal(err)
					}
					eventually(t, "no pods", func() bool { return len(store.ListKeys()) == 0 })
				})
			}
		})
	}
}

func startInformer(ctx context.Context, client kubernetes.Interface, mode string) (cache.Store, cache.InformerSynced) {
	if mode == "list then watch" {
		// A ListWatch without the semantics of watch lists makes the reflector list.
		lw := &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return client.CoreV1().Pods("").List(ctx, o)
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				if o.SendInitialEvents != nil && *o.SendInitialEvents {
					return nil, apierrors.NewInvalid(schema.GroupKind{Kind: "ListOptions"}, "", nil)
				}
				return client.CoreV1().Pods("").Watch(ctx, o)
			},
		}
		informer := cache.NewSharedIndexInformer(lw, &corev1.Pod{}, 0, nil)
		go informer.RunWithContext(ctx)
		return informer.GetStore(), informer.HasSynced
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	informer := factory.Core().V1().Pods().Informer()
	factory.Start(ctx.Done())
	return informer.GetStore(), informer.HasSynced
}

func TestDiscoveryClient(t *testing.T) {
	c := newCluster(t, nil)
	client := c.clientset(c.admin())
	_, resources, err := client.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]bool{}
	for _, list := range resources {
		versions[list.GroupVersion] = true
	}
	for _, want := range []string{"v1", "apps/v1", "coordination.k8s.io/v1", "discovery.k8s.io/v1", "pintle.io/v1"} {
		if !versions[want] {
			t.Errorf("%s is not discovered: %v", want, versions)
		}
	}
	if _, err := client.Discovery().OpenAPISchema(); err != nil {
		t.Errorf("OpenAPI v2 as protobuf: %v", err)
	}
	version, err := client.Discovery().ServerVersion()
	if err != nil || version.Major != "1" {
		t.Errorf("version %+v %v", version, err)
	}
}
