package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

const (
	namespace = "default"
	name      = "hello-world"
	port      = 8080
)

var selector = map[string]string{"app": name}

// demo follows the pods and says what becomes of them.
type demo struct {
	client kubernetes.Interface
	http   *http.Client

	mu   sync.Mutex
	pods map[types.UID]*corev1.Pod
}

func newDemo(ctx context.Context, c *cluster) (*demo, error) {
	d := &demo{
		client: c.client, pods: map[types.UID]*corev1.Pod{},
		// A connection for each request, so that each is balanced anew.
		http: &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	if err := d.clear(ctx); err != nil {
		return nil, err
	}
	lw := cache.NewFilteredListWatchFromClient(d.client.CoreV1().RESTClient(), string(corev1.ResourcePods), namespace, func(o *metav1.ListOptions) {
		o.LabelSelector = "app=" + name
	})
	_, _, events, _ := watchtools.NewIndexerInformerWatcher(lw, &corev1.Pod{})
	context.AfterFunc(ctx, events.Stop)
	go func() {
		for e := range events.ResultChan() {
			if pod, ok := e.Object.(*corev1.Pod); ok {
				d.see(pod, e.Type == watch.Deleted)
			}
		}
	}()
	return d, nil
}

// clear removes what an earlier demo left.
func (d *demo) clear(ctx context.Context) error {
	background := metav1.DeletePropagationBackground
	err := d.client.CoreV1().ReplicationControllers(namespace).Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &background})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if err := d.client.CoreV1().Services(namespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return poll(ctx, func() error {
		pods, err := d.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("%d pods of the last demo are still there", len(pods.Items))
		}
		return err
	})
}

// see says what is new of a pod.
func (d *demo) see(pod *corev1.Pod, deleted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.pods[pod.UID]
	if before == nil {
		before = &corev1.Pod{}
	}
	if deleted {
		delete(d.pods, pod.UID)
		say("%s is gone", pod.Name)
		return
	}
	d.pods[pod.UID] = pod
	if pod.Spec.NodeName != "" && before.Spec.NodeName == "" {
		say("%s goes to node %s", pod.Name, pod.Spec.NodeName)
	}
	if pod.Status.PodIP != "" && before.Status.PodIP == "" {
		say("%s has the address %s", pod.Name, pod.Status.PodIP)
	}
	if r := restarts(pod); r > restarts(before) {
		say("%s: container restarted in place, for the %s time", pod.Name, ordinal(r))
	}
	if isReady(pod) != isReady(before) {
		say("%s is %s", pod.Name, map[bool]string{true: "ready", false: "not ready any more"}[isReady(pod)])
	}
	if pod.DeletionTimestamp != nil && before.DeletionTimestamp == nil {
		say("%s is told to end", pod.Name)
	}
}

func (d *demo) play(ctx context.Context) error {
	fmt.Println()
	say("creating a ReplicationController %s with 5 replicas, and a Service", name)
	address, err := d.create(ctx)
	if err != nil {
		return err
	}
	if err := d.settle(ctx, 5); err != nil {
		return err
	}
	if err := d.answers(ctx, address, 5); err != nil {
		return err
	}
	for _, replicas := range []int{10, 3} {
		fmt.Println()
		say("scaling to %d", replicas)
		if err := d.scale(ctx, replicas); err != nil {
			return err
		}
		if err := d.settle(ctx, replicas); err != nil {
			return err
		}
	}
	if err := d.answers(ctx, address, 3); err != nil {
		return err
	}
	if err := d.crash(ctx); err != nil {
		return err
	}
	if err := d.replace(ctx); err != nil {
		return err
	}
	return d.answers(ctx, address, 3)
}

// create makes the job and returns the service's address.
func (d *demo) create(ctx context.Context) (string, error) {
	replicas, grace := int32(5), int64(5)
	probe := &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(port)}},
		PeriodSeconds: 1,
	}
	_, err := d.client.CoreV1().ReplicationControllers(namespace).Create(ctx, &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ReplicationControllerSpec{
			Replicas: &replicas, Selector: selector,
			Template: &corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: selector},
				Spec: corev1.PodSpec{
					TerminationGracePeriodSeconds: &grace,
					Containers: []corev1.Container{{
						Name: "web", Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
						Ports: []corev1.ContainerPort{{ContainerPort: port}}, ReadinessProbe: probe,
					}},
				},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("creating the ReplicationController: %w", err)
	}
	service, err := d.client.CoreV1().Services(namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Selector: selector, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(port)}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("creating the Service: %w", err)
	}
	say("the Service has the address %s", service.Spec.ClusterIP)
	return service.Spec.ClusterIP, nil
}

func (d *demo) scale(ctx context.Context, replicas int) error {
	patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas)
	_, err := d.client.CoreV1().ReplicationControllers(namespace).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// settle waits until exactly so many pods are there and all are ready.
func (d *demo) settle(ctx context.Context, want int) error {
	begun := time.Now()
	err := poll(ctx, func() error {
		there, ready := d.count()
		if there != want || ready != want {
			return fmt.Errorf("%d pods, %d of them ready, in place of %d", there, ready, want)
		}
		return nil
	})
	if err != nil {
		return err
	}
	say("%d pods are ready, after %.1f s", want, time.Since(begun).Seconds())
	return nil
}

func (d *demo) count() (there, ready int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.pods {
		there++
		if isReady(p) && p.DeletionTimestamp == nil {
			ready++
		}
	}
	return there, ready
}

// answers asks the service until so many pods have answered.
func (d *demo) answers(ctx context.Context, address string, want int) error {
	seen, asked := map[string]int{}, 0
	err := poll(ctx, func() error {
		for range 20 {
			text, err := d.get(ctx, address)
			if err != nil {
				return err
			}
			asked++
			words := strings.Fields(text)
			if len(words) < 3 {
				return fatal(fmt.Errorf("%s answered %q", address, text))
			}
			seen[strings.TrimSuffix(words[2], ",")]++
		}
		if len(seen) < want {
			return fmt.Errorf("%d pods answered, not %d", len(seen), want)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("asking the service at %s: %w", address, err)
	}
	say("the service at http://%s answered %d requests from %d pods: %v", address, asked, len(seen), seen)
	return nil
}

func (d *demo) get(ctx context.Context, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address, nil)
	if err != nil {
		return "", err
	}
	res, err := d.http.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// any picks a pod that is ready.
func (d *demo) any() *corev1.Pod {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.pods {
		if isReady(p) && p.DeletionTimestamp == nil {
			return p
		}
	}
	return nil
}

// crash makes a container end and waits until the same pod runs it again.
func (d *demo) crash(ctx context.Context) error {
	pod := d.any()
	fmt.Println()
	say("making the container of %s crash", pod.Name)
	url := "http://" + net.JoinHostPort(pod.Status.PodIP, fmt.Sprint(port)) + "/crash"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	// The server ends before it can answer.
	if res, err := d.http.Do(req); err == nil {
		res.Body.Close()
	}
	before := restarts(pod)
	return poll(ctx, func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		now := d.pods[pod.UID]
		if now == nil {
			return fatal(fmt.Errorf("%s was replaced: its container should have been restarted in place", pod.Name))
		}
		if restarts(now) <= before || !isReady(now) {
			return fmt.Errorf("%s has restarted %d times and is ready: %v", pod.Name, restarts(now), isReady(now))
		}
		return nil
	})
}

// replace deletes a pod and waits for another in its place.
func (d *demo) replace(ctx context.Context) error {
	pod := d.any()
	fmt.Println()
	say("deleting %s", pod.Name)
	if err := d.client.CoreV1().Pods(namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	err := poll(ctx, func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.pods[pod.UID] != nil {
			return fmt.Errorf("%s is still there", pod.Name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.settle(ctx, 3)
}

func restarts(pod *corev1.Pod) int32 {
	var n int32
	for _, c := range pod.Status.ContainerStatuses {
		n += c.RestartCount
	}
	return n
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func ordinal(n int32) string {
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		return fmt.Sprintf("%dst", n)
	case n%10 == 2:
		return fmt.Sprintf("%dnd", n)
	case n%10 == 3:
		return fmt.Sprintf("%drd", n)
	}
	return fmt.Sprintf("%dth", n)
}
