package node

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/pintle-io/pintle/core/node/internal/nodetest"
)

func TestHollow(t *testing.T) {
	t.Parallel()
	client, rt := fake.NewClientset(), nodetest.NewRuntime()
	h, err := newHollow(HollowOptions{Plugins: nodetest.NewPlugins(rt, nil), Count: 20, Logger: testLogger(t)}, client)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	eventually(t, "leases are renewed", func() error {
		l, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
		if err != nil || len(l.Items) != 20 {
			return fmt.Errorf("%d leases, %v", len(l.Items), err)
		}
		return nil
	})
	n, err := client.CoreV1().Nodes().Get(ctx, "hollow-7", metav1.GetOptions{})
	if err != nil || n.Status.Allocatable.Cpu().Value() != 8 {
		t.Fatalf("%+v %v", n, err)
	}
	pods := client.CoreV1().Pods("default")
	for i := range 100 {
		p := pod(fmt.Sprintf("p%d", i), func(p *corev1.Pod) {
			p.Spec.NodeName = fmt.Sprintf("hollow-%d", i%20)
			p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "i"}}
		})
		if _, err := pods.Create(ctx, p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pods.Create(ctx, pod("elsewhere"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all pods are ready", func() error {
		list, err := pods.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range list.Items {
			p := &list.Items[i]
			if p.Name != "elsewhere" && (p.Status.Phase != corev1.PodRunning || condition(p, corev1.PodReady) != corev1.ConditionTrue || p.Status.PodIP == "") {
				return fmt.Errorf("%s: %+v", p.Name, p.Status)
			}
		}
		return nil
	})
	list, _ := pods.List(ctx, metav1.ListOptions{})
	for i := range list.Items {
		p := &list.Items[i]
		now, zero := metav1.Now(), int64(0)
		p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &now, &zero
		if _, err := pods.Update(ctx, p, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all pods are gone", func() error {
		list, err := pods.List(ctx, metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 || len(rt.Sandboxes()) != 0 {
			return fmt.Errorf("%d pods, %d sandboxes, %v", len(list.Items), len(rt.Sandboxes()), err)
		}
		return nil
	})
}
