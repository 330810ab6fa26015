package housekeeping

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/sdk/controller"
)

// events deletes events that nothing was heard of for a time. The keys are
// namespaces, so that many events go at once and none needs a timer.
type events struct{ ttl, sweep time.Duration }

func eventsSpec() controller.Spec {
	return controller.Spec{Watches: []controller.Watch{
		{Object: &corev1.Namespace{}, Trigger: controller.Self, Fields: []string{"metadata"}},
		{
			Object: &corev1.Event{}, Trigger: controller.None, Reduce: reduceEvent,
			Fields: []string{"lastTimestamp", "eventTime", "series"},
		},
	}}
}

func reduceEvent(obj runtime.Object) {
	e := obj.(*corev1.Event)
	e.Labels, e.Annotations = nil, nil
}

func (v *events) Reconcile(_ context.Context, key controller.Key, view controller.View) (controller.Decision, error) {
	var d controller.Decision
	if _, ok := controller.Get[*corev1.Namespace](view, "", key.Name); !ok {
		return d, nil
	}
	next := v.sweep
	n := 0
	for _, e := range controller.List[*corev1.Event](view, key.Name, nil) {
		if view.Now().Sub(lastHeard(e)) < v.ttl || e.DeletionTimestamp != nil {
			continue
		}
		if n++; n > batch {
			next = time.Millisecond
			break
		}
		d.Delete(e)
	}
	d.GrowingBatches()
	d.Requeue(next)
	return d, nil
}

func lastHeard(e *corev1.Event) time.Time {
	last := e.CreationTimestamp.Time
	for _, t := range []time.Time{e.LastTimestamp.Time, e.EventTime.Time} {
		if t.After(last) {
			last = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(last) {
		last = e.Series.LastObservedTime.Time
	}
	return last
}
