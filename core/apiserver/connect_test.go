package apiserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	consts "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	serverforward "k8s.io/cri-streaming/pkg/streaming/portforward"
	servercommand "k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"

	"github.com/pintle-io/pintle/core/auth"
)

// agent is a node's agent as far as streams go.
type agent struct {
	t      testing.TB
	server *httptest.Server
}

const streamTimeout = 30 * time.Second

// startAgent makes a node "n" that it is the agent of, and a pod "web" there.
func (c *cluster) startAgent() {
	t := c.t
	pair, err := c.ca.IssueServing("system:node:n", []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t}
	mux := http.NewServeMux()
	mux.HandleFunc("/containerLogs/default/web/c", a.logs)
	mux.HandleFunc("/exec/default/web/c", a.exec)
	mux.HandleFunc("/portForward/default/web", a.portForward)
	mux.HandleFunc("/images", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s images %s", r.Method, r.URL.RawQuery)
	})
	a.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, ok := auth.UserFromTLS(r.TLS)
		if !ok || !u.InGroup(auth.GroupMasters) {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	a.server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: c.ca.Pool()}
	a.server.StartTLS()
	t.Cleanup(a.server.Close)

	client, ctx := c.clientset(c.admin()), t.Context()
	node, err := client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	port := a.server.Listener.Addr().(*net.TCPAddr).Port
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(port)
	if _, err := client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := testPod("web")
	pod.Spec.NodeName = "n"
	if pod, err = client.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod.Status.Phase = corev1.PodRunning
	if _, err := client.CoreV1().Pods("default").UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// logs writes two lines and, when it is followed, a third one once the client
// has the first two.
func (a *agent) logs(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("previous") == "true" {
		http.Error(w, `previous terminated container "c" in pod "web" not found`, http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "one\ntwo %s\n", r.URL.Query().Get("tailLines"))
	if r.URL.Query().Get("follow") == "true" {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
}

func (a *agent) exec(w http.ResponseWriter, r *http.Request) {
	opts, err := servercommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	servercommand.ServeExec(w, r, a, "web", "", "c", r.URL.Query()["command"], opts, streamTimeout, streamTimeout, consts.SupportedStreamingProtocols)
}

// ExecInContainer knows four commands.
func (a *agent) ExecInContainer(_ context.Context, _, _, _ string, cmd []string, in io.Reader, out, errOut io.WriteCloser, _ bool, resize <-chan servercommand.TerminalSize, _ time.Duration) error {
	switch cmd[0] {
	case "echo":
		_, err := fmt.Fprintln(out, strings.Join(cmd[1:], " "))
		return err
	case "cat":
		_, err := io.Copy(out, in)
		return err
	case "size":
		size := <-resize
		_, err := fmt.Fprintf(out, "%dx%d\n", size.Width, size.Height)
		return err
	case "fail":
		code, err := strconv.Atoi(cmd[1])
		if err != nil {
			return err
		}
		fmt.Fprintln(errOut, "it failed")
		return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
	}
	return fmt.Errorf("unknown command %q", cmd)
}

func (a *agent) portForward(w http.ResponseWriter, r *http.Request) {
	opts, err := serverforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	serverforward.ServePortForward(w, r, a, "web", "", opts, streamTimeout, streamTimeout, serverforward.SupportedProtocols)
}

// PortForward answers each line with the port and the line.
func (a *agent) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	line := make([]byte, 100)
	n, err := stream.Read(line)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stream, "%d:%s", port, line[:n])
	return err
}

func TestLogs(t *testing.T) {
	c := newCluster(t, nil)
	c.startAgent()
	pods := c.clientset(c.admin()).CoreV1().Pods("default")
	lines := int64(7)
	raw, err := pods.GetLogs("web", &corev1.PodLogOptions{TailLines: &lines}).DoRaw(t.Context())
	if err != nil || string(raw) != "one\ntwo 7\n" {
		t.Errorf("%q %v", raw, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := pods.GetLogs("web", &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	// The lines come while the log goes on.
	buf := make([]byte, len("one\ntwo \n"))
	if _, err := io.ReadFull(stream, buf); err != nil || string(buf) != "one\ntwo \n" {
		t.Errorf("%q %v", buf, err)
	}
	cancel()
	err = pods.GetLogs("web", &corev1.PodLogOptions{Previous: true}).Do(t.Context()).Error()
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "previous terminated container") {
		t.Errorf("previous: %v", err)
	}
	err = pods.GetLogs("web", &corev1.PodLogOptions{Container: "x"}).Do(t.Context()).Error()
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "container x is not valid for pod web") {
		t.Errorf("container: %v", err)
	}
	negative := int64(-1)
	if err = pods.GetLogs("web", &corev1.PodLogOptions{TailLines: &negative}).Do(t.Context()).Error(); !apierrors.IsBadRequest(err) {
		t.Errorf("tail of -1 lines: %v", err)
	}
}

// executors are the two protocols that clients speak.
func executors(t *testing.T, config *rest.Config, command []string, stdin, tty bool) map[string]remotecommand.Executor {
	t.Helper()
	client, err := rest.RESTClientFor(restConfigFor(config))
	if err != nil {
		t.Fatal(err)
	}
	request := client.Post().Namespace("default").Resource("pods").Name("web").SubResource("exec").VersionedParams(&corev1.PodExecOptions{
		Command: command, Stdin: stdin, Stdout: true, Stderr: !tty, TTY: tty,
	}, scheme.ParameterCodec)
	ws, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, request.URL().String())
	if err != nil {
		t.Fatal(err)
	}
	spdy, err := remotecommand.NewSPDYExecutor(config, http.MethodPost, request.URL())
	if err != nil {
		t.Fatal(err)
	}
	return map[string]remotecommand.Executor{"websocket": ws, "spdy": spdy}
}

func restConfigFor(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	return config
}

type oneSize chan remotecommand.TerminalSize

func (s oneSize) Next() *remotecommand.TerminalSize {
	size, ok := <-s
	if !ok {
		return nil
	}
	return &size
}

func TestExec(t *testing.T) {
	c := newCluster(t, nil)
	c.startAgent()
	config := c.admin()
	ctx, cancel := context.WithTimeout(t.Context(), streamTimeout)
	defer cancel()

	for name, e := range executors(t, config, []string{"echo", "a", "b c"}, false, false) {
		var out bytes.Buffer
		if err := e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: io.Discard}); err != nil || out.String() != "a b c\n" {
			t.Errorf("%s echo: %q %v", name, &out, err)
		}
	}
	long := strings.Repeat("0123456789", 100_000)
	for name, e := range executors(t, config, []string{"cat"}, true, false) {
		var out bytes.Buffer
		err := e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader(long), Stdout: &out, Stderr: io.Discard})
		if err != nil || out.String() != long {
			t.Errorf("%s cat: %d of %d bytes, %v", name, out.Len(), len(long), err)
		}
	}
	for name, e := range executors(t, config, []string{"fail", "3"}, false, false) {
		var errOut bytes.Buffer
		err := e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: io.Discard, Stderr: &errOut})
		var exit interface{ ExitStatus() int }
		if !errors.As(err, &exit) || exit.ExitStatus() != 3 || errOut.String() != "it failed\n" {
			t.Errorf("%s fail: %v, %q", name, err, &errOut)
		}
	}
	for name, e := range executors(t, config, []string{"size"}, true, true) {
		sizes := make(oneSize, 1)
		sizes <- remotecommand.TerminalSize{Width: 80, Height: 24}
		var out bytes.Buffer
		err := e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader(""), Stdout: &out, Tty: true, TerminalSizeQueue: sizes})
		close(sizes)
		if err != nil || out.String() != "80x24\n" {
			t.Errorf("%s size: %q %v", name, &out, err)
		}
	}

	for _, protocol := range []string{"true", "false"} {
		cmd := c.kubectlCommand("hello", "exec", "-i", "web", "--", "cat")
		cmd.Env = append(cmd.Env, "KUBECTL_REMOTE_COMMAND_WEBSOCKETS="+protocol)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "hello" {
			t.Errorf("kubectl exec, websockets %s: %q %v", protocol, out, err)
		}
	}
	if out, err := c.kubectl("", "exec", "web", "--", "fail", "7"); err == nil || !strings.Contains(out, "exit code 7") {
		t.Errorf("kubectl exec of what fails: %q %v", out, err)
	}
}

func TestPortForward(t *testing.T) {
	c := newCluster(t, nil)
	c.startAgent()
	config := c.admin()
	client, err := rest.RESTClientFor(restConfigFor(config))
	if err != nil {
		t.Fatal(err)
	}
	url := client.Post().Namespace("default").Resource("pods").Name("web").SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		t.Fatal(err)
	}
	overSPDY := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	overWebSocket, err := portforward.NewSPDYOverWebsocketDialer(url, config)
	if err != nil {
		t.Fatal(err)
	}
	for _, dialer := range []struct {
		name  string
		start func(stop, ready chan struct{}) (*portforward.PortForwarder, error)
	}{
		{"spdy", func(stop, ready chan struct{}) (*portforward.PortForwarder, error) {
			return portforward.NewOnAddresses(overSPDY, []string{"127.0.0.1"}, []string{"0:80"}, stop, ready, io.Discard, io.Discard)
		}},
		{"websocket", func(stop, ready chan struct{}) (*portforward.PortForwarder, error) {
			return portforward.NewOnAddresses(overWebSocket, []string{"127.0.0.1"}, []string{"0:80"}, stop, ready, io.Discard, io.Discard)
		}},
	} {
		t.Run(dialer.name, func(t *testing.T) {
			stop, ready := make(chan struct{}), make(chan struct{})
			forwarder, err := dialer.start(stop, ready)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- forwarder.ForwardPorts() }()
			select {
			case <-ready:
			case err := <-ended:
				t.Fatal(err)
			case <-time.After(streamTimeout):
				t.Fatal("forwarding did not begin")
			}
			ports, err := forwarder.GetPorts()
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(ports[0].Local)))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(streamTimeout)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(conn, "ping")
			if answer, err := io.ReadAll(conn); err != nil || string(answer) != "80:ping" {
				t.Errorf("%q %v", answer, err)
			}
			close(stop)
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestProxy(t *testing.T) {
	c := newCluster(t, nil)
	c.startAgent()
	client := c.clientset(c.admin()).CoreV1().RESTClient()
	raw, err := client.Get().Resource("nodes").Name("n").SubResource("proxy").Suffix("images").Param("a", "b").DoRaw(t.Context())
	if err != nil || string(raw) != "GET images a=b" {
		t.Errorf("GET: %q %v", raw, err)
	}
	raw, err = client.Delete().Resource("nodes").Name("n").SubResource("proxy").Suffix("images").Param("image", "x").DoRaw(t.Context())
	if err != nil || string(raw) != "DELETE images image=x" {
		t.Errorf("DELETE: %q %v", raw, err)
	}
	if _, err = client.Get().Resource("nodes").Name("gone").SubResource("proxy").DoRaw(t.Context()); !apierrors.IsNotFound(err) {
		t.Errorf("proxy to no node: %v", err)
	}
	// A pod can't send the server to the server's own machine.
	pods := c.clientset(c.admin()).CoreV1().Pods("default")
	proxied := func() error {
		return client.Get().Namespace("default").Resource("pods").Name("http:web:80").SubResource("proxy").Do(t.Context()).Error()
	}
	if err := proxied(); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "it has no address yet") {
		t.Errorf("proxy to a pod without an address: %v", err)
	}
	pod, err := pods.Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Status.PodIP, pod.Status.PodIPs = "127.0.0.1", []corev1.PodIP{{IP: "127.0.0.1"}}
	if _, err := pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := proxied(); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "127.0.0.1 is not allowed") {
		t.Errorf("proxy to a pod on loopback: %v", err)
	}
	err = client.Get().Namespace("default").Resource("services").Name("https:kubernetes:443").SubResource("proxy").Do(t.Context()).Error()
	if !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), `no endpoints available for service "kubernetes"`) {
		t.Errorf("proxy to a service without endpoints: %v", err)
	}
	node := c.clientset(c.config(auth.Node("n")))
	if _, err := node.CoreV1().Pods("default").GetLogs("web", &corev1.PodLogOptions{}).DoRaw(t.Context()); !apierrors.IsForbidden(err) {
		t.Errorf("a node reads logs of the API: %v", err)
	}
}
