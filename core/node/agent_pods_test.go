package node

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// status waits until the pod's status is as check wants it.
func (r *rig) status(name, what string, check func(*corev1.Pod) bool) *corev1.Pod {
	r.t.Helper()
	var got *corev1.Pod
	r.eventually(what, func() error {
		p, err := r.get(name)
		if err != nil {
			return err
		}
		if !check(p) {
			return fmt.Errorf("status %+v", p.Status)
		}
		got = p
		return nil
	})
	return got
}

func (r *rig) event(reason, part string) {
	r.t.Helper()
	r.eventually("event "+reason, func() error {
		list, err := r.client.CoreV1().Events("").List(context.Background(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		var seen []string
		for _, e := range list.Items {
			if e.Reason == reason && strings.Contains(e.Message, part) {
				return nil
			}
			seen = append(seen, e.Reason+": "+e.Message)
		}
		return fmt.Errorf("seen %q", seen)
	})
}

func waitingReason(p *corev1.Pod) string {
	for _, s := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
		if s.State.Waiting != nil {
			return s.State.Waiting.Reason
		}
	}
	return ""
}

func TestCrashLoop(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create(pod("crash"))
	r.phase("crash", corev1.PodRunning)
	r.runtime.Exit("app", 3)
	r.status("crash", "restarted once", func(p *corev1.Pod) bool {
		s := p.Status.ContainerStatuses[0]
		return s.State.Running != nil && s.RestartCount == 1 && s.LastTerminationState.Terminated != nil && s.LastTerminationState.Terminated.ExitCode == 3
	})
	r.runtime.Exit("app", 4)
	p := r.status("crash", "waits", func(p *corev1.Pod) bool { return waitingReason(p) == "CrashLoopBackOff" })
	s := p.Status.ContainerStatuses[0]
	if want := "back-off 10s restarting failed container=app pod=crash_default(uid-crash)"; s.State.Waiting.Message != want {
		t.Errorf("message %q, want %q", s.State.Waiting.Message, want)
	}
	if p.Status.Phase != corev1.PodRunning || condition(p, corev1.PodReady) != corev1.ConditionFalse {
		t.Errorf("status %+v", p.Status)
	}
	r.event("BackOff", "Back-off restarting failed container app in pod crash_default(uid-crash)")
	if n := len(r.runtime.Containers()); n > 2 {
		t.Errorf("%d containers are kept", n)
	}
	r.markDeleted("crash", 1)
	r.gone("crash")
}

func TestPodThatEnds(t *testing.T) {
	t.Parallel()
	for code, want := range map[int32]corev1.PodPhase{0: corev1.PodSucceeded, 7: corev1.PodFailed} {
		t.Run(string(want), func(t *testing.T) {
			r := newRig(t)
			r.create(pod("job", func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }))
			r.phase("job", corev1.PodRunning)
			r.runtime.Exit("app", code)
			r.phase("job", want)
			r.eventually("the network is taken back", func() error {
				if n := r.network.Attached(); n > 0 {
					return fmt.Errorf("%d attached", n)
				}
				return nil
			})
			if len(r.runtime.Containers()) != 1 {
				t.Error("the container is gone, and its log with it")
			}
			r.markDeleted("job", 0)
			r.gone("job")
		})
	}
}

func TestInitContainersInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	always := corev1.ContainerRestartPolicyAlways
	r.create(pod("init", func(p *corev1.Pod) {
		c := func(name string) corev1.Container {
			return corev1.Container{Name: name, Image: "example/app:1", ImagePullPolicy: corev1.PullIfNotPresent}
		}
		sidecar := c("side")
		sidecar.RestartPolicy = &always
		p.Spec.InitContainers = []corev1.Container{c("first"), sidecar, c("second")}
	}))
	r.status("init", "first runs", func(p *corev1.Pod) bool {
		return len(p.Status.InitContainerStatuses) == 3 && p.Status.InitContainerStatuses[0].State.Running != nil
	})
	if r.runtime.Newest("side") != nil || r.runtime.Newest("app") != nil {
		t.Fatal("others started before the first init container ended")
	}
	r.runtime.Exit("first", 0)
	r.status("init", "second runs beside the sidecar", func(p *corev1.Pod) bool {
		return p.Status.InitContainerStatuses[1].State.Running != nil && p.Status.InitContainerStatuses[2].State.Running != nil
	})
	if r.runtime.Newest("app") != nil {
		t.Fatal("the container started before the last init container ended")
	}
	r.runtime.Exit("second", 0)
	r.status("init", "ready", func(p *corev1.Pod) bool {
		return p.Status.Phase == corev1.PodRunning && condition(p, corev1.PodReady) == corev1.ConditionTrue && condition(p, corev1.PodInitialized) == corev1.ConditionTrue
	})
	r.runtime.Exit("side", 1)
	r.status("init", "the sidecar is restarted alone", func(p *corev1.Pod) bool {
		return p.Status.InitContainerStatuses[1].RestartCount == 1 && p.Status.ContainerStatuses[0].RestartCount == 0
	})
	r.markDeleted("init", 1)
	r.gone("init")
}

func TestProbes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	answers := make(chan int32, 1)
	answers <- 0
	var first atomic.Pointer[string]
	r.runtime.OnExec = func(_ context.Context, id string, command []string, s runtime.Streams) (*pluginv1.ExecExit, error) {
		code := <-answers
		answers <- code
		if command[0] == "alive" {
			if bad := first.Load(); code == 2 && id == *bad {
				_, _ = io.WriteString(s.Stdout, "dead")
				return &pluginv1.ExecExit{ExitCode: 1}, nil
			}
			return &pluginv1.ExecExit{}, nil
		}
		return &pluginv1.ExecExit{ExitCode: code}, nil
	}
	set := func(code int32) { <-answers; answers <- code }
	probe := func(command string) *corev1.Probe {
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{command}}}, PeriodSeconds: 1, FailureThreshold: 1, TimeoutSeconds: 1}
	}
	r.create(pod("probed", func(p *corev1.Pod) {
		p.Spec.Containers[0].ReadinessProbe = probe("ready")
		p.Spec.Containers[0].LivenessProbe = probe("alive")
	}))
	ready := func(want corev1.ConditionStatus) {
		t.Helper()
		r.status("probed", "ready is "+string(want), func(p *corev1.Pod) bool { return condition(p, corev1.PodReady) == want })
	}
	ready(corev1.ConditionTrue)
	set(1)
	ready(corev1.ConditionFalse)
	set(0)
	ready(corev1.ConditionTrue)
	id := r.runtime.Newest("app").Id
	first.Store(&id)
	set(2)
	r.event("Unhealthy", "Liveness probe failed: dead")
	set(0)
	r.eventually("the container was replaced", func() error {
		if r.runtime.Newest("app").Id == id {
			return fmt.Errorf("it is the same")
		}
		return nil
	})
	r.event("Killing", "Container app failed liveness probe, will be restarted")
	r.status("probed", "restarted and ready", func(p *corev1.Pod) bool {
		return p.Status.ContainerStatuses[0].RestartCount >= 1 && condition(p, corev1.PodReady) == corev1.ConditionTrue
	})
}

func TestTCPProbeOfNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create(pod("web", func(p *corev1.Pod) {
		p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Host: "127.0.0.1", Port: intstr.FromInt32(1)}}, PeriodSeconds: 1,
		}
	}))
	r.event("Unhealthy", "Readiness probe failed:")
	r.status("web", "runs, but is not ready", func(p *corev1.Pod) bool {
		return p.Status.Phase == corev1.PodRunning && condition(p, corev1.PodReady) == corev1.ConditionFalse
	})
}

func TestImageThatDoesNotExist(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.runtime.OnPull = func(context.Context, *pluginv1.PullImageRequest) (*pluginv1.Image, error) {
		return nil, errs.NotFound("example/none:1: no such image")
	}
	r.create(pod("none", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "example/none:1" }))
	p := r.status("none", "backs off", func(p *corev1.Pod) bool { return waitingReason(p) == "ImagePullBackOff" })
	if m := p.Status.ContainerStatuses[0].State.Waiting.Message; !strings.Contains(m, "no such image") {
		t.Errorf("message %q", m)
	}
	r.event("Failed", "Failed to pull image \"example/none:1\"")
	r.markDeleted("none", 1)
	r.gone("none")
}

func TestConfigMapThatComesLater(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create(pod("env", func(p *corev1.Pod) {
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "X", ValueFrom: &corev1.EnvVarSource{
			ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}, Key: "x"}}}}
	}))
	r.status("env", "waits for the config map", func(p *corev1.Pod) bool { return waitingReason(p) == "CreateContainerConfigError" })
	_, err := r.client.CoreV1().ConfigMaps("default").Create(context.Background(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "cm", Namespace: "default"}, Data: map[string]string{"x": "y"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.phase("env", corev1.PodRunning)
	for _, kv := range r.runtime.Request(r.runtime.Newest("app").Id).Env {
		if kv.Key == "X" && kv.Value == "y" {
			return
		}
	}
	t.Error("the variable is missing")
}

func TestHangingVolumeHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.volume.OnMount = func(ctx context.Context, req *pluginv1.MountVolumeRequest) error {
		if req.VolumeName == "dead" {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	with := func(name string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: name, MountPath: "/data"}}
		}
	}
	r.create(pod("stuck", with("dead")))
	r.create(pod("fine", with("data")))
	r.phase("fine", corev1.PodRunning)
	r.status("stuck", "waits", func(p *corev1.Pod) bool { return waitingReason(p) == "ContainerCreating" })
	r.markDeleted("stuck", 1)
	r.markDeleted("fine", 1)
	r.gone("stuck")
}

func TestVolumeTypeWithoutPlugin(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create(pod("v", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "s", Path: "/p"}}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "x", MountPath: "/x"}}
	}))
	r.event("FailedMount", `no volume plugin "nfs" is installed on this node`)
}

func TestSandboxThatWasLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create(pod("web"))
	r.phase("web", corev1.PodRunning)
	r.runtime.KillSandbox(r.runtime.Sandboxes()[0].Id)
	r.status("web", "runs again", func(p *corev1.Pod) bool {
		s := p.Status.ContainerStatuses[0]
		return s.State.Running != nil && s.RestartCount == 1 && condition(p, corev1.PodReady) == corev1.ConditionTrue
	})
	r.event("SandboxChanged", "")
	r.markDeleted("web", 1)
	r.gone("web")
}

func TestPodThatDoesNotFit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create(pod("big", func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10000")}
	}))
	p := r.status("big", "failed", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodFailed })
	if p.Status.Reason != "OutOfcpu" || !strings.Contains(p.Status.Message, "Node didn't have enough resource: cpu") {
		t.Errorf("reason %q, message %q", p.Status.Reason, p.Status.Message)
	}
	if len(r.runtime.Sandboxes()) != 0 {
		t.Error("it got a sandbox")
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one := int64(1)
	r.create(pod("late", func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = &one }))
	p := r.status("late", "failed", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodFailed })
	if p.Status.Reason != "DeadlineExceeded" {
		t.Errorf("reason %q", p.Status.Reason)
	}
	if s := p.Status.ContainerStatuses[0].State.Terminated; s == nil {
		t.Errorf("the container is %+v", p.Status.ContainerStatuses[0].State)
	}
}

func TestGraceThatIsShortened(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	graces := make(chan time.Duration, 10)
	r.runtime.OnStop = func(ctx context.Context, _ *pluginv1.Container, grace time.Duration) {
		graces <- grace
		select {
		case <-ctx.Done():
		case <-time.After(grace):
		}
	}
	r.create(pod("slow"))
	r.phase("slow", corev1.PodRunning)
	r.markDeleted("slow", 600)
	if g := <-graces; g < 500*time.Second {
		t.Errorf("grace %s", g)
	}
	r.markDeleted("slow", 0)
	r.gone("slow")
}

func TestPodThatTheAPIForgotWhileTheAgentWasAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create(pod("ghost"))
	r.phase("ghost", corev1.PodRunning)
	r.stop()
	if err := r.client.CoreV1().Pods("default").Delete(context.Background(), "ghost", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.gone("ghost")
}

func TestRuntimeThatIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create(pod("one"))
	r.phase("one", corev1.PodRunning)
	r.plugins.SetRuntime(nil)
	r.eventually("the node is not ready", func() error { return r.nodeReady(corev1.ConditionFalse) })
	r.create(pod("two"))
	r.plugins.SetRuntime(r.runtime)
	r.phase("two", corev1.PodRunning)
	r.eventually("the node is ready", func() error { return r.nodeReady(corev1.ConditionTrue) })
	if n := len(r.runtime.Containers()); n != 2 {
		t.Errorf("%d containers", n)
	}
}

func (r *rig) nodeReady(want corev1.ConditionStatus) error {
	n, err := r.client.CoreV1().Nodes().Get(context.Background(), "node-1", metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == want {
			return nil
		}
	}
	return fmt.Errorf("conditions %+v", n.Status.Conditions)
}

func TestStartThatFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.runtime.SetFail(func(call, id string) error {
		if call == "StartContainer" {
			return errs.InvalidArgument("exec: \"nope\": executable file not found in $PATH").WithReason(runtime.ReasonCannotRun)
		}
		return nil
	})
	r.create(pod("bad"))
	r.event("Failed", "executable file not found")
	p := r.status("bad", "backs off", func(p *corev1.Pod) bool { return waitingReason(p) == "CrashLoopBackOff" })
	if l := p.Status.ContainerStatuses[0].LastTerminationState.Terminated; l == nil || !strings.Contains(l.Message, "executable file not found") {
		t.Errorf("last state %+v", l)
	}
}

func TestHooks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	calls := make(chan string, 10)
	r.runtime.OnExec = func(_ context.Context, _ string, command []string, _ runtime.Streams) (*pluginv1.ExecExit, error) {
		calls <- command[0]
		return &pluginv1.ExecExit{}, nil
	}
	hook := func(name string) *corev1.LifecycleHandler {
		return &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{name}}}
	}
	r.create(pod("hooked", func(p *corev1.Pod) {
		p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: hook("post"), PreStop: hook("pre")}
	}))
	r.status("hooked", "ready", func(p *corev1.Pod) bool { return condition(p, corev1.PodReady) == corev1.ConditionTrue })
	if got := <-calls; got != "post" {
		t.Errorf("hook %s", got)
	}
	r.markDeleted("hooked", 5)
	r.gone("hooked")
	if got := <-calls; got != "pre" {
		t.Errorf("hook %s", got)
	}
}

func TestConfigMapVolumeIsUpdated(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := context.Background()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "cm", Namespace: "default"}, Data: map[string]string{"k": "1"}}
	if _, err := r.client.CoreV1().ConfigMaps("default").Create(ctx, cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.create(pod("conf", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "cm", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}}}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "cm", MountPath: "/cm"}}
	}))
	r.phase("conf", corev1.PodRunning)
	var dir string
	for _, m := range r.runtime.Request(r.runtime.Newest("app").Id).Mounts {
		if m.ContainerPath == "/cm" {
			dir = m.HostPath
		}
	}
	holds := func(want string) {
		t.Helper()
		r.eventually("the file holds "+want, func() error {
			b, err := os.ReadFile(dir + "/k")
			if err != nil || string(b) != want {
				return fmt.Errorf("%q %v", b, err)
			}
			return nil
		})
	}
	holds("1")
	cm.Data["k"] = "2"
	if _, err := r.client.CoreV1().ConfigMaps("default").Update(ctx, cm, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	holds("2")
	r.markDeleted("conf", 0)
	r.gone("conf")
}
