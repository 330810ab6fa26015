package loop_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/loop"
	"github.com/pintle-io/pintle/core/loop/looptest"
	"github.com/pintle-io/pintle/sdk/controller"
)

// bindCounter tells when all pods are bound.
type bindCounter struct {
	loop.API
	left atomic.Int64
	all  chan struct{}
}

func (c *bindCounter) Create(ctx context.Context, t api.Target, obj runtime.Object, opts api.CreateOptions) (runtime.Object, error) {
	made, err := c.API.Create(ctx, t, obj, opts)
	if err == nil && t.Subresource == "binding" && c.left.Add(-1) == 0 {
		close(c.all)
	}
	return made, err
}

// BenchmarkBind measures a loop that binds every pod there is, through the real
// API and store, in this process.
func BenchmarkBind(b *testing.B) {
	e := looptest.New(b)
	e.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}})
	var creators sync.WaitGroup
	for c := range 64 {
		creators.Go(func() {
			for i := c; i < b.N; i += 64 {
				e.Create(&corev1.Pod{
					ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("p-", i)},
					Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
				})
			}
		})
	}
	creators.Wait()
	spec := controller.Spec{
		Watches:     []controller.Watch{{Object: &corev1.Pod{}, Trigger: controller.Self, FieldSelector: "spec.nodeName=", Fields: []string{"spec"}}},
		MaxInFlight: 512,
	}
	counted := &bindCounter{API: e.API, all: make(chan struct{})}
	counted.left.Store(int64(b.N))
	opts := e.Options("bind")
	opts.API = counted
	b.ResetTimer()
	looptest.Run(b, loop.New(opts), looptest.InProcess(b, spec, reconcileFunc(
		func(_ context.Context, key controller.Key, view controller.View) (controller.Decision, error) {
			var d controller.Decision
			if pod, ok := controller.Get[*corev1.Pod](view, key.Namespace, key.Name); ok {
				d.Bind(pod, "n1")
			}
			return d, nil
		})))
	<-counted.all
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "binds/s")
}
