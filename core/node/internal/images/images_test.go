package images

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	testclock "k8s.io/utils/clock/testing"

	"github.com/pintle-io/pintle/core/node/internal/nodetest"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

type secrets map[string]*corev1.Secret

func (s secrets) Secret(_ context.Context, _, name string) (*corev1.Secret, error) {
	if x := s[name]; x != nil {
		return x, nil
	}
	return nil, fmt.Errorf("no secret %s", name)
}
func (secrets) ConfigMap(context.Context, string, string) (*corev1.ConfigMap, error) {
	return nil, errors.New("not asked for")
}

func rig(t *testing.T) (*Manager, *nodetest.Runtime, *testclock.FakeClock, secrets) {
	t.Helper()
	rt, clock, s := nodetest.NewRuntime(), testclock.NewFakeClock(time.Now()), secrets{}
	return New(Options{Plugins: nodetest.NewPlugins(rt, nil), Objects: s, Events: record.NewFakeRecorder(1000), Clock: clock, Log: slog.New(slog.DiscardHandler)}), rt, clock, s
}

func podOf(image string, policy corev1.PullPolicy) (*corev1.Pod, *corev1.Container) {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image, ImagePullPolicy: policy}}}}
	return p, &p.Spec.Containers[0]
}

func TestPolicy(t *testing.T) {
	for image, want := range map[string]corev1.PullPolicy{"x": corev1.PullAlways, "x:latest": corev1.PullAlways, "x:1": corev1.PullIfNotPresent, "host:5000/x": corev1.PullAlways, "x@sha256:a": corev1.PullIfNotPresent} {
		if got := Policy(&corev1.Container{Image: image}); got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
}

func TestBackoff(t *testing.T) {
	m, rt, clock, _ := rig(t)
	rt.OnPull = func(context.Context, *pluginv1.PullImageRequest) (*pluginv1.Image, error) {
		return nil, errs.NotFound("no such image")
	}
	p, c := podOf("x:1", corev1.PullIfNotPresent)
	ensure := func() string {
		_, err := m.Ensure(context.Background(), p, c, &corev1.ObjectReference{})
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("error %v", err)
		}
		return e.Reason
	}
	for _, delay := range []time.Duration{10, 20, 40, 80, 160, 300, 300} {
		if got := ensure(); got != ReasonPull {
			t.Fatalf("before %ds: %s", delay, got)
		}
		clock.Step(delay*time.Second - time.Millisecond)
		if got := ensure(); got != ReasonBackOff {
			t.Fatalf("after less than %ds: %s", delay, got)
		}
		clock.Step(2 * time.Millisecond)
	}
	c.ImagePullPolicy = corev1.PullNever
	if got := ensure(); got != ReasonNeverPull {
		t.Error(got)
	}
	rt.AddImage(&pluginv1.Image{Id: "sha256:x", Tags: []string{"x:1"}})
	if _, err := m.Ensure(context.Background(), p, c, &corev1.ObjectReference{}); err != nil {
		t.Error(err)
	}
}

func TestOnePullForAll(t *testing.T) {
	m, rt, _, _ := rig(t)
	release := make(chan struct{})
	rt.OnPull = func(ctx context.Context, req *pluginv1.PullImageRequest) (*pluginv1.Image, error) {
		<-release
		return &pluginv1.Image{Id: "sha256:x"}, nil
	}
	var wg sync.WaitGroup
	gone, cancel := context.WithCancel(context.Background())
	for i := range 10 {
		ctx := context.Background()
		if i == 0 {
			ctx = gone
		}
		p, c := podOf("x:1", corev1.PullIfNotPresent)
		wg.Go(func() {
			if _, err := m.Ensure(ctx, p, c, &corev1.ObjectReference{}); err != nil && ctx != gone {
				t.Error(err)
			}
		})
	}
	for rt.Calls("PullImage") == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel() // one who waits goes away; the others get the image
	for deadline := time.Now().Add(10 * time.Second); rt.Calls("GetImage") < 10 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * time.Millisecond)
	close(release)
	wg.Wait()
	if n := rt.Calls("PullImage"); n > 2 {
		t.Errorf("%d pulls", n)
	}
}

func TestCredentials(t *testing.T) {
	m, _, _, s := rig(t)
	s["a"] = &corev1.Secret{Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{
		"https://index.docker.io/v1/":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("hub:pw:x")) + `"},
		"registry.example:5000":{"username":"host","password":"1"},
		"registry.example:5000/team":{"username":"team","password":"2"},
		"*.example.org":{"username":"glob"}}}`)}}
	s["bad"] = &corev1.Secret{Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{`)}}
	p, _ := podOf("", "")
	p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "a"}, {Name: "bad"}, {Name: "none"}}
	for image, want := range map[string]string{
		"nginx": "hub ", "docker.io/me/x:1": "hub ", "registry.example:5000/team/x@sha256:a": "team host ", "registry.example:5000/teams/x": "host ",
		"r.example.org/x": "glob ", "localhost/x": "", "other.example/x": "",
	} {
		auths, err := m.auths(context.Background(), p, image)
		if err == nil {
			t.Error("bad secrets are no error")
		}
		got := ""
		for _, a := range auths {
			got += a.Username + " "
			if a.Username == "hub" && a.Password != "pw:x" {
				t.Errorf("password %q", a.Password)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", image, got, want)
		}
	}
}

func TestCollect(t *testing.T) {
	m, rt, clock, _ := rig(t)
	for i, name := range []string{"old", "used", "new"} {
		rt.AddImage(&pluginv1.Image{Id: name, SizeBytes: 100})
		_, err := m.Collect(context.Background(), DefaultThresholds(), Disk{Total: 1000, Available: 900}, []*pluginv1.Container{{ImageId: name}}, false)
		if err != nil {
			t.Fatal(i, err)
		}
		clock.Step(time.Hour)
	}
	used := []*pluginv1.Container{{ImageId: "used"}}
	freed, err := m.Collect(context.Background(), DefaultThresholds(), Disk{Total: 1000, Available: 140}, used, false)
	if err != nil || freed != 100 {
		t.Fatal(freed, err)
	}
	left, _ := rt.ListImages(context.Background(), nil)
	for _, i := range left.Images {
		if i.Id == "old" {
			t.Error("the longest unused image is there")
		}
	}
	if freed, err = m.Collect(context.Background(), DefaultThresholds(), Disk{Total: 1000, Available: 10}, used, false); err == nil || freed != 100 {
		t.Errorf("freed %d, %v: too little is an error", freed, err)
	}
}
