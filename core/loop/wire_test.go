package loop_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/host"
	"github.com/pintle-io/pintle/core/loop"
	"github.com/pintle-io/pintle/core/loop/looptest"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
)

// build compiles a controller that ships.
func build(t testing.TB, name string) string {
	t.Helper()
	executable := filepath.Join(t.TempDir(), "controller-"+name)
	if out, err := exec.Command("go", "build", "-o", executable, "../../plugins/controller/"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return executable
}

// start starts a plugin the way the core does.
func start(t testing.TB, e *looptest.Env, h *host.Host, executable, name string) *host.Instance {
	t.Helper()
	instance, err := h.Start(t.Context(), host.Spec{Type: pluginv1.PluginType_PLUGIN_TYPE_CONTROLLER, Name: name, Executable: executable})
	if err != nil {
		t.Fatal(err)
	}
	return instance
}

func newHost(t testing.TB, e *looptest.Env) *host.Host {
	t.Helper()
	dir, err := os.MkdirTemp("", "pl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h, err := host.New(host.Options{RunDir: dir, Logger: e.Log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return h
}

// grant makes the Plugin object by which the API allows what a plugin declares.
func grant(e *looptest.Env, name string, i *host.Instance) {
	e.T.Helper()
	plugin := &pintlev1.Plugin{
		ObjectMeta: metav1.ObjectMeta{Name: "controller-" + name},
		Spec:       pintlev1.PluginSpec{Type: pintlev1.ControllerPlugin, Name: name},
	}
	for _, p := range i.Description().GetPermissions() {
		plugin.Spec.Permissions = append(plugin.Spec.Permissions, pintlev1.PluginPermission{
			APIGroup: p.GetApiGroup(), Resources: p.GetResources(), Verbs: p.GetVerbs(),
		})
	}
	e.Create(plugin)
}

func served(i *host.Instance) loop.Loop {
	return loop.Loop{Identity: auth.Plugin("controller", i.Spec().Name), Spec: i.Description().GetLoop(), Opener: stream.NewClient(i.Conn())}
}

func replicas(t testing.TB) int {
	if text := os.Getenv("PINTLE_REPLICAS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 300
}

func podsAre(t testing.TB, e *looptest.Env, n int) {
	t.Helper()
	looptest.Eventually(t, fmt.Sprint(n, " pods"), func() (bool, string) {
		have := 0
		for _, obj := range e.List("pods") {
			if p := obj.(*corev1.Pod); p.DeletionTimestamp == nil {
				have++
			}
		}
		rc := e.Get("replicationcontrollers", "default", "web").(*corev1.ReplicationController)
		return have == n && rc.Status.Replicas == int32(n) && rc.Status.ObservedGeneration == rc.Generation, fmt.Sprint(have, " ", rc.Status)
	})
}

func newController(n int) *corev1.ReplicationController {
	return &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: corev1.ReplicationControllerSpec{
			Replicas: ptr.To(int32(n)), Selector: map[string]string{"app": "web"},
			Template: &corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
			},
		},
	}
}

// TestReplicationOverTheWire runs the real plugin in a process of its own:
// scaled up and down, killed in between, and replaced while it works.
func TestReplicationOverTheWire(t *testing.T) {
	e := looptest.New(t)
	h := newHost(t, e)
	executable := build(t, "replication")
	r := loop.New(e.Options("controller/replication"))
	n := replicas(t)

	first := start(t, e, h, executable, "replication")
	grant(e, "replication", first)
	stopFirst := looptest.Run(t, r, served(first))
	began := time.Now()
	e.Create(newController(n))
	podsAre(t, e, n)
	took := time.Since(began)
	t.Logf("0 to %d pods in %s: %.0f pods/s", n, took.Round(time.Millisecond), float64(n)/took.Seconds())

	scale := func(to int) {
		rc := e.Get("replicationcontrollers", "default", "web").(*corev1.ReplicationController)
		rc.Spec.Replicas = ptr.To(int32(to))
		// The status may be written at the same time.
		rc.ResourceVersion = ""
		e.Update(rc)
	}
	// Killed as it begins to scale down; another process goes on.
	scale(n / 3)
	if err := first.Stop(t.Context()); err != nil {
		t.Log(err)
	}
	stopFirst()
	second := start(t, e, h, executable, "replication")
	done := make(chan error, 1)
	go func() { done <- r.Run(t.Context(), served(second)) }()
	podsAre(t, e, n/3)

	// Replaced as it scales up.
	scale(n / 2)
	third := start(t, e, h, executable, "replication")
	looptest.Run(t, r, served(third))
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := second.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	podsAre(t, e, n/2)
}
