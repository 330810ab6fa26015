package api_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/core/store/badger"
)

var (
	pods       = schema.GroupResource{Resource: "pods"}
	nodes      = schema.GroupResource{Resource: "nodes"}
	namespaces = schema.GroupResource{Resource: "namespaces"}
	configMaps = schema.GroupResource{Resource: "configmaps"}
	secrets    = schema.GroupResource{Resource: "secrets"}
	services   = schema.GroupResource{Resource: "services"}
	admin      = auth.Admin()

	rcs = schema.GroupResource{Resource: "replicationcontrollers"}
)

// cluster is a Service over a real store with the namespaces of a new cluster.
type cluster struct {
	*api.Service
	t     testing.TB
	ctx   context.Context
	store *badger.Store
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	st, err := badger.Open(badger.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := registry.New(registry.Builtin(registry.Options{})...)
	if err != nil {
		t.Fatal(err)
	}
	s := api.New(api.Options{Store: st, Kinds: kinds, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		s.Close()
		if err := st.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(auth.WithUser(context.Background(), auth.Admin()), time.Minute)
	t.Cleanup(cancel)
	c := &cluster{Service: s, t: t, ctx: ctx, store: st}
	if err := s.EnsureDefaults(ctx, api.Defaults{}); err != nil {
		t.Fatal(err)
	}
	return c
}

func in(gr schema.GroupResource, name string) api.Target {
	return api.Target{Resource: gr, Namespace: "default", Name: name}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newPod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "web:1"}}},
	}
}

func newConfigMap(name string, data ...string) *corev1.ConfigMap {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{}}
	for i := 0; i+1 < len(data); i += 2 {
		cm.Data[data[i]] = data[i+1]
	}
	return cm
}

func newNode(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func (c *cluster) pod(name string) *corev1.Pod {
	c.t.Helper()
	obj, err := c.Get(c.ctx, in(pods, name), api.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return obj.(*corev1.Pod)
}

func (c *cluster) createPod(name string) *corev1.Pod {
	c.t.Helper()
	obj, err := c.Create(c.ctx, in(pods, ""), newPod(name), api.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return obj.(*corev1.Pod)
}

// bound makes a node and a pod on it.
func (c *cluster) bound(pod, node string) *corev1.Pod {
	c.t.Helper()
	if _, err := c.Get(c.ctx, api.Target{Resource: nodes, Name: node}, api.GetOptions{}); err != nil {
		if _, err := c.Create(c.ctx, api.Target{Resource: nodes}, newNode(node), api.CreateOptions{}); err != nil {
			c.t.Fatal(err)
		}
	}
	c.createPod(pod)
	err := c.Bind(c.ctx, "default", &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: pod}, Target: corev1.ObjectReference{Kind: "Node", Name: node},
	}, api.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.pod(pod)
}
