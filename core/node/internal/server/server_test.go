package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"

	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/node/internal/nodetest"
	"github.com/pintle-io/pintle/core/node/internal/podspec"
	"github.com/pintle-io/pintle/core/node/internal/runtimeview"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/runtime"

	"k8s.io/apimachinery/pkg/types"
)

type rig struct {
	t         *testing.T
	authority *auth.Authority
	runtime   *nodetest.Runtime
	view      *runtimeview.View
	pod       *corev1.Pod
	address   string
	dir       string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, runtime: nodetest.NewRuntime(), dir: t.TempDir()}
	var err error
	if r.authority, err = auth.OpenAuthority(filepath.Join(r.dir, "pki")); err != nil {
		t.Fatal(err)
	}
	r.pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "uid"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}}
	plugins := nodetest.NewPlugins(r.runtime, nil)
	log := slog.New(slog.DiscardHandler)
	r.view = runtimeview.New(plugins, log, func(types.UID) {})
	s := New(Options{
		Pods: func() []*corev1.Pod { return []*corev1.Pod{r.pod} },
		Find: func(namespace, name string) *corev1.Pod {
			if namespace == "ns" && name == "web" {
				return r.pod
			}
			return nil
		},
		View: r.view, Plugins: plugins, NodeName: "node-1", RootDir: r.dir, Log: log,
	})
	serving, err := r.authority.Serving("node-1", []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	config := serving.TLS()
	config.ClientCAs = r.authority.Pool()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.address = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, config) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// run makes a running container.
func (r *rig) run(attempt uint32, namespace string) string {
	r.t.Helper()
	ctx := context.Background()
	sb, err := r.runtime.CreateSandbox(ctx, &pluginv1.CreateSandboxRequest{SandboxId: "sb", Pod: podspec.Identity(r.pod), Labels: podspec.PodLabels(r.pod)})
	if err != nil {
		r.t.Fatal(err)
	}
	sb.Sandbox.NetworkNamespace = namespace
	id := fmt.Sprintf("c%d", attempt)
	_, err = r.runtime.CreateContainer(ctx, &pluginv1.CreateContainerRequest{
		SandboxId: "sb", ContainerId: id, Name: "app", Attempt: attempt, Image: "i",
		LogPath: filepath.Join(r.dir, id+".log"), Labels: podspec.ContainerLabels(r.pod, &r.pod.Spec.Containers[0]),
	})
	if err == nil {
		_, err = r.runtime.StartContainer(ctx, &pluginv1.StartContainerRequest{ContainerId: id})
	}
	if err == nil {
		err = r.view.Relist(ctx)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func (r *rig) config(user string, groups ...string) *rest.Config {
	r.t.Helper()
	pair, err := r.authority.IssueClient(auth.User{Name: user, Groups: groups})
	if err != nil {
		r.t.Fatal(err)
	}
	return &rest.Config{Host: "https://" + r.address, TLSClientConfig: rest.TLSClientConfig{CertData: pair.Cert, KeyData: pair.Key, CAData: r.authority.CertificatePEM()}}
}

func (r *rig) request(c *rest.Config, method, path string, body io.Reader) (int, string) {
	r.t.Helper()
	client, err := rest.HTTPClientFor(c)
	if err != nil {
		r.t.Fatal(err)
	}
	req, err := http.NewRequest(method, c.Host+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestWhoMayEnter(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		config *rest.Config
		want   int
	}{
		"API server":   {r.config(auth.UserAPIServer), 200},
		"admin":        {r.config("me", auth.GroupMasters), 200},
		"another node": {r.config("system:node:x", auth.GroupNodes), 403},
	} {
		if code, body := r.request(c.config, "GET", "/healthz", nil); code != c.want {
			t.Errorf("%s: %d %s, want %d", name, code, body, c.want)
		}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.authority.Pool()}}}
	if res, err := client.Get("https://" + r.address + "/healthz"); err == nil {
		t.Errorf("without a certificate: %s", res.Status)
	}
}

func TestLogs(t *testing.T) {
	r := newRig(t)
	c := r.config(auth.UserAPIServer)
	if code, body := r.request(c, "GET", "/containerLogs/ns/web/app", nil); code != 400 || !strings.Contains(body, `container "app" in pod "web" is waiting to start: ContainerCreating`) {
		t.Errorf("%d %s", code, body)
	}
	first := r.run(0, "")
	write := func(id, text string) {
		if err := os.WriteFile(filepath.Join(r.dir, id+".log"), []byte("2026-01-02T03:04:05Z stdout F "+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(first, "first")
	r.runtime.Exit("app", 1)
	write(r.run(1, ""), "second")
	for path, want := range map[string]string{
		"":                                "second\n",
		"?previous=true":                  "first\n",
		"?tailLines=0":                    "",
		"?timestamps=true":                "2026-01-02T03:04:05Z second\n",
		"?sinceTime=2027-01-01T00:00:00Z": "",
		"?limitBytes=3":                   "sec",
	} {
		if code, body := r.request(c, "GET", "/containerLogs/ns/web/app"+path, nil); code != 200 || body != want {
			t.Errorf("%s: %d %q, want %q", path, code, body, want)
		}
	}
	for path, want := range map[string]int{"/containerLogs/ns/web/none": 400, "/containerLogs/ns/none/app": 404, "/containerLogs/ns/web/app?tailLines=x": 400} {
		if code, body := r.request(c, "GET", path, nil); code != want {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
	}
}

func TestExec(t *testing.T) {
	r := newRig(t)
	r.run(0, "")
	r.runtime.OnExec = func(_ context.Context, id string, command []string, s runtime.Streams) (*pluginv1.ExecExit, error) {
		var in []byte
		if s.Stdin != nil {
			var err error
			if in, err = io.ReadAll(s.Stdin); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(s.Stdout, "%s %v %s", id, command, in)
		fmt.Fprint(s.Stderr, "problem")
		return &pluginv1.ExecExit{ExitCode: 42}, nil
	}
	c := r.config(auth.UserAPIServer)
	target, _ := url.Parse(c.Host + "/exec/ns/web/app?command=cat&command=-&input=1&output=1&error=1")
	spdyExec, err := remotecommand.NewSPDYExecutor(c, "POST", target)
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err = spdyExec.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader("hello"), Stdout: &out, Stderr: &errOut})
	if e, ok := err.(utilexec.CodeExitError); !ok || e.Code != 42 {
		t.Errorf("error %v, want exit code 42", err)
	}
	if out.String() != "c0 [cat -] hello" || errOut.String() != "problem" {
		t.Errorf("stdout %q, stderr %q", out.String(), errOut.String())
	}
	if code, body := r.request(c, "POST", "/exec/ns/web/app?command=x", nil); code != 400 {
		t.Errorf("without streams: %d %s", code, body)
	}
	if code, body := r.request(c, "POST", "/run/ns/web/app?cmd=x", nil); code != 500 {
		t.Errorf("a command that exits with 42: %d %s", code, body)
	}
}

// podNetwork makes a network namespace with a server on its localhost, and
// returns its path and the server's port.
func podNetwork(t *testing.T) (path string, port int) {
	t.Helper()
	type result struct {
		path string
		l    net.Listener
		err  error
	}
	done := make(chan result)
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	go func() {
		goruntime.LockOSThread() // never unlocked: the thread ends in its namespace
		res := result{path: fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), gettid())}
		ns, err := netns.New()
		if err == nil {
			defer ns.Close()
			var lo netlink.Link
			if lo, err = netlink.LinkByName("lo"); err == nil {
				err = netlink.LinkSetUp(lo)
			}
		}
		if err == nil {
			res.l, err = net.Listen("tcp", "127.0.0.1:0")
		}
		res.err = err
		done <- res
		<-hold
	}()
	res := <-done
	if res.err != nil {
		t.Fatalf("making a network namespace (are you root?): %v", res.err)
	}
	t.Cleanup(func() { _ = res.l.Close() })
	go func() {
		for {
			conn, err := res.l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}
	}()
	return res.path, res.l.Addr().(*net.TCPAddr).Port
}

func TestPortForward(t *testing.T) {
	r := newRig(t)
	path, port := podNetwork(t)
	r.run(0, path)
	c := r.config(auth.UserAPIServer)
	transport, upgrader, err := spdy.RoundTripperFor(c)
	if err != nil {
		t.Fatal(err)
	}
	target, _ := url.Parse(c.Host + "/portForward/ns/web")
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", target)
	stop, ready := make(chan struct{}), make(chan struct{})
	forwarder, err := portforward.New(dialer, []string{fmt.Sprintf("0:%d", port)}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	defer func() {
		close(stop)
		<-ended
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	case <-time.After(20 * time.Second):
		t.Fatal("not ready")
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0].Local))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "ping")
		_ = conn.(*net.TCPConn).CloseWrite()
		b, err := io.ReadAll(conn)
		if err != nil || string(b) != "ping" {
			t.Errorf("%q %v", b, err)
		}
		_ = conn.Close()
	}
}

func TestImages(t *testing.T) {
	r := newRig(t)
	c := r.config("me", auth.GroupMasters)
	code, body := r.request(c, "POST", "/images?name=example/x:1", strings.NewReader("archive"))
	var list ImageList
	if err := json.Unmarshal([]byte(body), &list); code != 200 || err != nil || len(list.Images) != 1 || list.Images[0].SizeBytes != 7 {
		t.Fatalf("%d %s %v", code, body, err)
	}
	if code, body := r.request(c, "GET", "/images", nil); code != 200 || !strings.Contains(body, "example/x:1") {
		t.Errorf("%d %s", code, body)
	}
	if code, body := r.request(c, "DELETE", "/images?image="+url.QueryEscape(list.Images[0].ID), nil); code != 200 {
		t.Errorf("%d %s", code, body)
	}
	if _, body := r.request(c, "GET", "/images", nil); strings.Contains(body, "example/x:1") {
		t.Errorf("still there: %s", body)
	}
}
