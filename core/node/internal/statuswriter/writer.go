package statuswriter

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/workqueue"
)

const (
	writers      = 8
	writeTimeout = 15 * time.Second
	minRetry     = 200 * time.Millisecond
	maxRetry     = 30 * time.Second
)

// Writer of pod statuses.
type Writer struct {
	client kubernetes.Interface
	log    *slog.Logger
	queue  workqueue.TypedRateLimitingInterface[types.UID]

	mu   sync.Mutex
	pods map[types.UID]*desired
}

type desired struct {
	// base is the newest form of the object that is known.
	base   *corev1.Pod
	status corev1.PodStatus
	finish bool
}

// New makes a Writer.
func New(client kubernetes.Interface, log *slog.Logger) *Writer {
	return &Writer{
		client: client, log: log,
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](minRetry, maxRetry)),
		pods:  map[types.UID]*desired{},
	}
}

// Run writes until ctx ends.
func (w *Writer) Run(ctx context.Context) {
	stop := context.AfterFunc(ctx, w.queue.ShutDown)
	defer stop()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for {
				uid, quit := w.queue.Get()
				if quit {
					return
				}
				if err := w.write(ctx, uid); err != nil && ctx.Err() == nil {
					w.log.Warn("writing a pod's status failed, it is repeated", "uid", uid, "error", err)
					w.queue.AddRateLimited(uid)
				} else {
					w.queue.Forget(uid)
				}
				w.queue.Done(uid)
			}
		})
	}
	wg.Wait()
}

// Set makes status the one to write. The pod is as the API had it; neither may
// be changed afterwards.
func (w *Writer) Set(pod *corev1.Pod, status corev1.PodStatus) { w.set(pod, status, false) }

// Finish writes the last status of a pod that is being deleted and then removes
// the object.
func (w *Writer) Finish(pod *corev1.Pod, status corev1.PodStatus) { w.set(pod, status, true) }

func (w *Writer) set(pod *corev1.Pod, status corev1.PodStatus, finish bool) {
	w.mu.Lock()
	d := w.pods[pod.UID]
	if d == nil {
		d = &desired{base: pod}
		w.pods[pod.UID] = d
	}
	if newer(pod, d.base) {
		d.base = pod
	}
	d.status = status
	d.finish = d.finish || finish
	w.mu.Unlock()
	w.queue.Add(pod.UID)
}

// newer compares revisions of one object; what can't be compared counts as
// newer.
func newer(a, b *corev1.Pod) bool {
	n, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion)
	return err != nil || n >= 0
}

// Forget drops a pod that is gone from the API.
func (w *Writer) Forget(uid types.UID) {
	w.mu.Lock()
	delete(w.pods, uid)
	w.mu.Unlock()
}

func (w *Writer) write(ctx context.Context, uid types.UID) error {
	w.mu.Lock()
	d := w.pods[uid]
	if d == nil {
		w.mu.Unlock()
		return nil
	}
	base, status, finish := d.base, d.status, d.finish
	w.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	body, changed, err := patch(base, status)
	if err != nil {
		return err
	}
	if changed {
		pod, err := w.client.CoreV1().Pods(base.Namespace).Patch(ctx, base.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status")
		switch {
		case apierrors.IsNotFound(err), apierrors.IsConflict(err) && !finish:
			// Gone, or another pod of the same name: the watch will tell.
			if apierrors.IsNotFound(err) {
				w.Forget(uid)
			}
			return nil
		case err != nil:
			return fmt.Errorf("pod %s/%s: %w", base.Namespace, base.Name, err)
		}
		w.mu.Lock()
		if d := w.pods[uid]; d != nil && pod.UID == uid && newer(pod, d.base) {
			d.base = pod
		}
		w.mu.Unlock()
	}
	if !finish {
		return nil
	}
	grace := int64(0)
	err = w.client.CoreV1().Pods(base.Namespace).Delete(ctx, base.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &grace, Preconditions: &metav1.Preconditions{UID: &uid},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("removing pod %s/%s from the API: %w", base.Namespace, base.Name, err)
	}
	return nil
}

// patch is the difference between the object's status and the one to write,
// bound to the object's UID.
func patch(base *corev1.Pod, status corev1.PodStatus) (body []byte, changed bool, err error) {
	type form struct {
		Metadata struct {
			UID types.UID `json:"uid,omitempty"`
		} `json:"metadata,omitempty"`
		Status corev1.PodStatus `json:"status"`
	}
	var before, after form
	before.Status, after.Status = base.Status, status
	a, err := json.Marshal(before)
	if err != nil {
		return nil, false, err
	}
	same, err := json.Marshal(after)
	if err != nil {
		return nil, false, err
	}
	if string(a) == string(same) {
		return nil, false, nil
	}
	after.Metadata.UID = base.UID
	b, err := json.Marshal(after)
	if err != nil {
		return nil, false, err
	}
	body, err = strategicpatch.CreateTwoWayMergePatch(a, b, corev1.Pod{})
	return body, err == nil, err
}
