package api_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/core/api"
)

// Services made at the same moment get addresses of their own.
func TestConcurrentAllocation(t *testing.T) {
	c := newCluster(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]string{}
	for worker := range 8 {
		wg.Go(func() {
			for i := range 10 {
				name := fmt.Sprintf("s-%d-%d", worker, i)
				svc := &corev1.Service{
					ObjectMeta: metav1.ObjectMeta{Name: name},
					Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}},
				}
				obj, err := c.Create(c.ctx, in(services, ""), svc, api.CreateOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				svc = obj.(*corev1.Service)
				mu.Lock()
				for _, v := range []string{svc.Spec.ClusterIP, strconv.Itoa(int(svc.Spec.Ports[0].NodePort))} {
					if other, taken := seen[v]; taken {
						t.Errorf("%s belongs to %s and %s", v, other, name)
					}
					seen[v] = name
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// From the moment at which a namespace is seen to go away nothing new appears
// in it.
func TestNothingIsCreatedAfterTheMark(t *testing.T) {
	c := newCluster(t)
	for round := range 5 {
		name := fmt.Sprintf("team-%d", round)
		must[any](t)(c.Create(c.ctx, api.Target{Resource: namespaces}, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, api.CreateOptions{}))
		var wg sync.WaitGroup
		started := make(chan struct{}, 4)
		for worker := range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					_, err := c.Create(c.ctx, api.Target{Resource: configMaps, Namespace: name}, newConfigMap(fmt.Sprintf("a-%d-%d", worker, i)), api.CreateOptions{})
					if i == 0 {
						started <- struct{}{}
					}
					if err != nil {
						if !apierrors.IsForbidden(err) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		for range 4 {
			<-started
		}
		obj, _, err := c.Delete(c.ctx, api.Target{Resource: namespaces, Name: name}, api.DeleteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		marked, err := strconv.ParseUint(obj.(*corev1.Namespace).ResourceVersion, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		docs, err := c.ListDocuments(c.ctx, api.Target{Resource: configMaps, Namespace: name}, api.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range docs.Items {
			if rev := docs.Items[i].Revision(); rev > marked {
				t.Errorf("%s was made at %d, the namespace was marked at %d", docs.Items[i].Key(), rev, marked)
			}
		}
	}
}

// What a caller does to an object that it got reaches nobody else.
func TestReturnedObjectsArePrivate(t *testing.T) {
	c := newCluster(t)
	spoil := func(obj any) {
		pod := obj.(*corev1.Pod)
		pod.Labels["app"] = "spoiled"
		pod.Spec.Containers[0].Image = "spoiled"
		if len(pod.Status.Conditions) > 0 {
			pod.Status.Conditions[0].Reason = "spoiled"
		}
	}
	check := func(after string) {
		t.Helper()
		pod := c.pod("web")
		if pod.Labels["app"] != "web" || pod.Spec.Containers[0].Image != "web:1" {
			t.Errorf("after %s: %+v", after, pod)
		}
		spoil(pod)
	}
	spoil(c.createPod("web"))
	check("create")
	for i := range 3 {
		status := in(pods, "web")
		status.Subresource = "status"
		obj, _, err := c.Patch(c.ctx, status, "application/strategic-merge-patch+json",
			[]byte(fmt.Sprintf(`{"status":{"message":"m%d","conditions":[{"type":"Ready","status":"True"}]}}`, i)), api.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		spoil(obj)
		check("patch")
	}
	pod := c.pod("web")
	pod.Labels["new"] = "1"
	obj, err := c.Update(c.ctx, in(pods, "web"), pod, api.UpdateOptions{})
	if err != nil {
		t.Fatal(errors.Unwrap(err), err)
	}
	spoil(obj)
	check("update")
	for _, cond := range c.pod("web").Status.Conditions {
		if cond.Reason == "spoiled" {
			t.Error("a condition was spoiled")
		}
	}
}
