package loop

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/pintle-io/pintle/core/api"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// eventWriters write events side by side, so that the store commits them
// together.
const eventWriters = 4

var (
	podKind   = &pluginv1.GroupVersionKind{Version: "v1", Kind: "Pod"}
	eventKind = schema.GroupResource{Resource: "events"}
)

// recorder writes events beside the decisions, never before them. Repeated
// ones are counted in one and floods cut off, by the rules of Kubernetes'
// clients.
type recorder struct {
	opts       *Options
	log        *slog.Logger
	correlator *record.EventCorrelator
	queue      chan *corev1.Event
}

func newRecorder(opts *Options, log *slog.Logger) *recorder {
	return &recorder{
		opts:       opts,
		log:        log,
		correlator: record.NewEventCorrelatorWithOptions(record.CorrelatorOptions{Clock: clock.RealClock{}}),
		queue:      make(chan *corev1.Event, opts.EventBuffer),
	}
}

// record takes an event up, or drops it where too many wait.
func (r *recorder) record(about corev1.ObjectReference, e *pluginv1.Event, message string) {
	event := r.event(about, e, message)
	result, err := r.correlator.EventCorrelate(event)
	if err != nil {
		r.log.Warn("event dropped", "error", err)
		return
	}
	if result.Skip {
		r.count("dropped")
		return
	}
	select {
	case r.queue <- result.Event:
	default:
		r.count("dropped")
	}
}

func (r *recorder) event(about corev1.ObjectReference, e *pluginv1.Event, message string) *corev1.Event {
	now := metav1.NewTime(r.opts.Now())
	ref := about
	if o := e.GetObject(); o != nil {
		ref = corev1.ObjectReference{
			APIVersion: schema.GroupVersion{Group: o.GetKind().GetGroup(), Version: o.GetKind().GetVersion()}.String(),
			Kind:       o.GetKind().GetKind(),
			Namespace:  o.GetNamespace(),
			Name:       o.GetName(),
			UID:        types.UID(o.GetUid()),
		}
	}
	// Events about objects without a namespace lie in the default one.
	namespace := ref.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	eventType := corev1.EventTypeNormal
	if e.GetType() == pluginv1.Event_TYPE_WARNING {
		eventType = corev1.EventTypeWarning
	}
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name:      fmt.Sprintf("%s.%x", ref.Name, now.UnixNano()),
			Namespace: namespace,
		},
		InvolvedObject:      ref,
		Reason:              e.GetReason(),
		Message:             message,
		FirstTimestamp:      now,
		LastTimestamp:       now,
		Count:               1,
		Type:                eventType,
		Source:              corev1.EventSource{Component: r.opts.Component},
		ReportingController: r.opts.Component,
	}
}

// start writes events until stop is called. What is left then waits for the
// next start.
func (r *recorder) start(ctx context.Context) (stop func()) {
	ending := make(chan struct{})
	var writers sync.WaitGroup
	for range eventWriters {
		writers.Go(func() {
			for {
				select {
				case e := <-r.queue:
					r.write(ctx, e)
				case <-ending:
					return
				}
			}
		})
	}
	return func() {
		close(ending)
		writers.Wait()
	}
}

// write creates an event, or counts one that was written before up.
func (r *recorder) write(ctx context.Context, e *corev1.Event) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.ApplyTimeout)
	defer cancel()
	t := api.Target{Resource: eventKind, Namespace: e.Namespace}
	if e.Count > 1 && e.ResourceVersion != "" {
		again := e.DeepCopy()
		again.ResourceVersion = ""
		t.Name = e.Name
		left, err := r.opts.API.Update(ctx, t, again, api.UpdateOptions{FieldManager: r.opts.Name})
		if err == nil {
			r.written(left, "merged")
			return
		}
		if !apierrors.IsNotFound(err) {
			r.failed(e, err)
			return
		}
		t.Name = ""
	}
	fresh := e.DeepCopy()
	fresh.ResourceVersion = ""
	left, err := r.opts.API.Create(ctx, t, fresh, api.CreateOptions{FieldManager: r.opts.Name})
	if err != nil {
		r.failed(e, err)
		return
	}
	r.written(left, "written")
}

func (r *recorder) written(left any, result string) {
	r.count(result)
	if e, ok := left.(*corev1.Event); ok {
		r.correlator.UpdateState(e)
	}
}

func (r *recorder) failed(e *corev1.Event, err error) {
	r.count("failed")
	// A namespace that is being deleted takes no events; nobody misses them. One
	// that is there already says the same.
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) {
		return
	}
	r.log.Warn("event could not be written", "reason", e.Reason, "about", e.InvolvedObject.Kind+"/"+e.InvolvedObject.Name, "error", err)
}

func (r *recorder) count(result string) {
	r.opts.Metrics.events.WithLabelValues(r.opts.Name, result).Inc()
}
