package api_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pintle-io/pintle/core/api"
)

func BenchmarkCreatePod(b *testing.B) {
	c := newCluster(b)
	c.ctx = b.Context()
	var n atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, err := c.CreateDocument(c.as(admin), in(pods, ""), newPod(fmt.Sprintf("p-%d", n.Add(1))), api.CreateOptions{})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkBindPod(b *testing.B) {
	c := newCluster(b)
	c.ctx = b.Context()
	ctx := c.as(admin)
	for i := range b.N {
		if _, err := c.CreateDocument(ctx, in(pods, ""), newPod(fmt.Sprintf("p-%d", i+1)), api.CreateOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	var n atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			err := c.Bind(ctx, "default", &corev1.Binding{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p-%d", n.Add(1))}, Target: corev1.ObjectReference{Name: "n1"},
			}, api.CreateOptions{})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPatchStatus(b *testing.B) {
	c := newCluster(b)
	c.ctx = b.Context()
	ctx := c.as(admin)
	c.ctx = ctx
	for i := range 64 {
		c.bound(fmt.Sprintf("p-%d", i), "n1")
	}
	var n atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			target := in(pods, fmt.Sprintf("p-%d", i%64))
			target.Subresource = "status"
			patch := fmt.Sprintf(`{"status":{"phase":"Running","message":"m-%d"}}`, i)
			if _, _, err := c.PatchDocument(ctx, target, types.StrategicMergePatchType, []byte(patch), api.PatchOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkGetPod(b *testing.B) {
	c := newCluster(b)
	c.ctx = b.Context()
	ctx := c.as(admin)
	c.ctx = ctx
	c.createPod("web")
	buf := make([]byte, 0, 8192)
	b.ReportAllocs()
	for b.Loop() {
		doc, err := c.GetDocument(ctx, in(pods, "web"), api.GetOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := doc.AppendJSON(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkListPods(b *testing.B) {
	c := newCluster(b)
	ctx := c.as(admin)
	c.ctx = ctx
	for i := range 1000 {
		c.createPod(fmt.Sprintf("p-%d", i))
	}
	for name, opts := range map[string]api.ListOptions{"all": {}, "labels": {LabelSelector: "app=p-7"}, "fields": {FieldSelector: "spec.nodeName=n1"}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.ListDocuments(ctx, in(pods, ""), opts); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
