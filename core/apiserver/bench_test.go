package apiserver_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/core/apiserver"
	"github.com/pintle-io/pintle/core/auth"
)

// request runs one request through the handler, without a socket.
func request(b *testing.B, transport http.RoundTripper, method, path, body string) {
	b.Helper()
	r, err := http.NewRequest(method, "https://in-process"+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		b.Fatalf("%s %s: %d %v %.200s", method, path, resp.StatusCode, err, answer)
	}
}

func BenchmarkHandler(b *testing.B) {
	c := newCluster(b, nil)
	client := c.clientset(c.admin())
	for i := range 500 {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("c", i)}, Data: map[string]string{"data": strings.Repeat("x", 1024)}}
		if _, err := client.CoreV1().ConfigMaps("default").Create(b.Context(), cm, metav1.CreateOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	transport := apiserver.InProcessConfig(c.server.Handler(), auth.Admin()).Transport
	const path = "/api/v1/namespaces/default/configmaps"
	for name, target := range map[string]string{"get": path + "/c7", "list of 500": path} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				request(b, transport, http.MethodGet, target, "")
			}
		})
	}
	b.Run("create from 64 clients", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		body := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"b"},"data":{"data":"%s"}}`, strings.Repeat("x", 1024))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				request(b, transport, http.MethodPost, path, body)
			}
		})
	})
}
