package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"github.com/pintle-io/pintle/core/node/internal/nodetest"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// rig is a node agent with plugins in memory and client-go's fake API.
type rig struct {
	t       *testing.T
	client  *fake.Clientset
	runtime *nodetest.Runtime
	network *nodetest.Network
	volume  *nodetest.Volume
	plugins *nodetest.Plugins
	root    string
	agent   *Agent
	stop    func()
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{
		t: t, client: fake.NewClientset(), runtime: nodetest.NewRuntime(), network: nodetest.NewNetwork(),
		volume: nodetest.NewVolume(), root: t.TempDir(),
	}
	r.plugins = nodetest.NewPlugins(r.runtime, r.network)
	r.plugins.SetVolume("emptydir", r.volume)
	r.start()
	return r
}

// start runs an agent on what there is, as after a restart.
func (r *rig) start() {
	r.t.Helper()
	o := Options{
		Name: "node-1", RestConfig: &rest.Config{}, Plugins: r.plugins, RootDir: r.root,
		Addresses: []string{"192.0.2.10"}, Logger: testLogger(r.t),
	}
	if err := o.complete(); err != nil {
		r.t.Fatal(err)
	}
	if err := os.MkdirAll(o.LogDir, 0o750); err != nil {
		r.t.Fatal(err)
	}
	a, err := newAgent(o, r.client)
	if err != nil {
		r.t.Fatal(err)
	}
	r.agent = a
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				r.t.Errorf("the agent ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			r.t.Error("the agent did not end")
		}
	}
	r.t.Cleanup(r.stop)
	r.eventually("the node is registered", func() error {
		n, err := r.client.CoreV1().Nodes().Get(ctx, "node-1", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(n.Spec.PodCIDRs) == 0 {
			n.Spec.PodCIDR, n.Spec.PodCIDRs = "10.88.0.0/24", []string{"10.88.0.0/24"}
			_, err = r.client.CoreV1().Nodes().Update(ctx, n, metav1.UpdateOptions{})
		}
		return err
	})
}

func testLogger(t *testing.T) *slog.Logger {
	if os.Getenv("PINTLE_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (r *rig) eventually(what string, check func() error) {
	r.t.Helper()
	eventually(r.t, what, check)
}

func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

func pod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	grace := int64(5)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID("uid-" + name), CreationTimestamp: metav1.Now()},
		Spec: corev1.PodSpec{
			NodeName: "node-1", RestartPolicy: corev1.RestartPolicyAlways, TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{Name: "app", Image: "example/app:1", ImagePullPolicy: corev1.PullIfNotPresent, TerminationMessagePath: "/dev/termination-log"}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func (r *rig) create(p *corev1.Pod) *corev1.Pod {
	r.t.Helper()
	got, err := r.client.CoreV1().Pods(p.Namespace).Create(context.Background(), p, metav1.CreateOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

func (r *rig) get(name string) (*corev1.Pod, error) {
	return r.client.CoreV1().Pods("default").Get(context.Background(), name, metav1.GetOptions{})
}

// markDeleted does what the API server does for a graceful deletion.
func (r *rig) markDeleted(name string, grace int64) {
	r.t.Helper()
	r.eventually("marking the pod deleted", func() error {
		p, err := r.get(name)
		if err != nil {
			return err
		}
		now := metav1.Now()
		p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &now, &grace
		_, err = r.client.CoreV1().Pods("default").Update(context.Background(), p, metav1.UpdateOptions{})
		return err
	})
}

func (r *rig) phase(name string, want corev1.PodPhase) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("pod %s is %s", name, want), func() error {
		p, err := r.get(name)
		if err != nil {
			return err
		}
		if p.Status.Phase != want {
			return fmt.Errorf("phase %s, status %+v", p.Status.Phase, p.Status.ContainerStatuses)
		}
		return nil
	})
}

func (r *rig) gone(name string) {
	r.t.Helper()
	r.eventually("pod "+name+" is gone", func() error {
		_, err := r.get(name)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %v", err)
	})
	r.eventually("nothing of the pod is left on the node", func() error {
		if n := len(r.runtime.Sandboxes()) + len(r.runtime.Containers()); n > 0 {
			return fmt.Errorf("%d sandboxes and containers", n)
		}
		if n := r.network.Attached(); n > 0 {
			return fmt.Errorf("%d network attachments", n)
		}
		if n := len(r.volume.Mounted()); n > 0 {
			return fmt.Errorf("%d volumes", n)
		}
		for _, dir := range []string{"pods", "logs"} {
			entries, err := os.ReadDir(filepath.Join(r.root, dir))
			if err != nil || len(entries) > 0 {
				return fmt.Errorf("%d entries in %s (%v)", len(entries), dir, err)
			}
		}
		return nil
	})
}

func condition(p *corev1.Pod, t corev1.PodConditionType) corev1.ConditionStatus {
	for _, c := range p.Status.Conditions {
		if c.Type == t {
			return c.Status
		}
	}
	return ""
}

func TestPodRunsAndGoes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create(pod("web", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	}))
	r.phase("web", corev1.PodRunning)
	r.eventually("the pod is ready", func() error {
		p, err := r.get("web")
		if err != nil {
			return err
		}
		for _, c := range []corev1.PodConditionType{corev1.PodReady, corev1.ContainersReady, corev1.PodInitialized, corev1.PodReadyToStartContainers, corev1.PodScheduled} {
			if condition(p, c) != corev1.ConditionTrue {
				return fmt.Errorf("%s is %s", c, condition(p, c))
			}
		}
		if p.Status.PodIP != "10.88.0.1" || p.Status.HostIP != "192.0.2.10" || p.Status.StartTime == nil || p.Status.QOSClass != corev1.PodQOSBestEffort {
			return fmt.Errorf("status %+v", p.Status)
		}
		cs := p.Status.ContainerStatuses[0]
		if !cs.Ready || cs.Started == nil || !*cs.Started || cs.RestartCount != 0 || cs.ContainerID == "" {
			return fmt.Errorf("container status %+v", cs)
		}
		return nil
	})
	req := r.runtime.Request(r.runtime.Newest("app").Id)
	found := false
	for _, m := range req.Mounts {
		found = found || m.ContainerPath == "/data"
	}
	if !found {
		t.Errorf("no mount for /data in %v", req.Mounts)
	}
	r.markDeleted("web", 5)
	r.gone("web")
}

func TestRestartOfAgentLeavesPodRunning(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create(pod("web"))
	r.phase("web", corev1.PodRunning)
	id := r.runtime.Newest("app").Id
	r.stop()
	r.start()
	r.create(pod("second"))
	r.phase("second", corev1.PodRunning)
	for _, c := range r.runtime.Containers() {
		if c.Labels["io.kubernetes.pod.name"] == "web" && (c.Id != id || c.State != pluginv1.Container_STATE_RUNNING) {
			t.Errorf("container %s is %s, it was %s", c.Id, c.State, id)
		}
	}
	if n := r.runtime.Calls("StopContainer"); n != 0 {
		t.Errorf("%d containers were stopped", n)
	}
}
