package probes

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestThresholds(t *testing.T) {
	for name, c := range map[string]struct {
		kind                Kind
		failures, successes int32
		results, want       string // + and - for results; . for no verdict
	}{
		"defaults":         {Readiness, 0, 0, "+---+", "+..-+"},
		"reset by success": {Liveness, 3, 1, "--+--+---", "..+..+..-"},
		"two successes":    {Readiness, 1, 2, "-+-++", "-.-.+"},
		"liveness ignores": {Liveness, 1, 5, "+-", "+-"},
	} {
		counter := newCounter(c.kind, &corev1.Probe{FailureThreshold: c.failures, SuccessThreshold: c.successes})
		got := ""
		for _, r := range c.results {
			switch ok, decided := counter.add(r == '+'); {
			case !decided:
				got += "."
			case ok:
				got += "+"
			default:
				got += "-"
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestHTTP(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		case "/slow":
			<-r.Context().Done()
		case "/host":
			if r.Host != "example" || r.Header.Get("X") != "y" || !strings.HasPrefix(r.UserAgent(), "kube-probe/") {
				w.WriteHeader(http.StatusTeapot)
			}
		default:
			code, _ := strconv.Atoi(r.URL.Path[1:])
			w.WriteHeader(code)
		}
	}))
	defer s.Close()
	host, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	n, _ := strconv.Atoi(port)
	c := &corev1.Container{Name: "c", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: int32(n)}}}
	for path, want := range map[string]outcome{"/200": success, "/399": success, "/400": failure, "/500": failure, "/away": success, "/slow": failure, "/host": success} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		got, text := httpGet(ctx, &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http"), HTTPHeaders: []corev1.HTTPHeader{{Name: "Host", Value: "example"}, {Name: "X", Value: "y"}}}, c, host)
		cancel()
		if got != want {
			t.Errorf("%s: %d %s, want %d", path, got, text, want)
		}
	}
	if got, text := httpGet(context.Background(), &corev1.HTTPGetAction{Port: intstr.FromString("none")}, c, host); got != failure || !strings.Contains(text, `no port named "none"`) {
		t.Errorf("%d %s", got, text)
	}
}

func TestTCPAndGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, h := grpc.NewServer(), health.NewServer()
	healthv1.RegisterHealthServer(s, h)
	go func() { _ = s.Serve(l) }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	address := l.Addr().String()
	if got, text := tcp(ctx, address); got != success {
		t.Error(text)
	}
	if got, text := grpcHealth(ctx, address, nil); got != success {
		t.Error(text)
	}
	h.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	if got, text := grpcHealth(ctx, address, nil); got != failure || text != `service unhealthy (responded with "NOT_SERVING")` {
		t.Errorf("%d %s", got, text)
	}
	s.Stop()
	if got, _ := tcp(ctx, address); got != failure {
		t.Error("a closed port answers")
	}
}
