package e2e

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/vishvananda/netns"
	corev1 "k8s.io/api/core/v1"
)

// TestRegistry pulls images from a registry that asks for a password.
func TestRegistry(t *testing.T) {
	network := newLAN(t)
	h, other := network.host(), network.host()
	h.up()
	other.serveRegistry("someone", "s3cret")
	address := other.address + ":5000"

	h.apply(`
apiVersion: v1
kind: Pod
metadata: {name: https}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "` + address + `/web:1"}]
`)
	h.waitWaiting("https", "c", "ImagePullBackOff", "Back-off pulling image", address+"/web:1")
	h.eventsOf(t, "https", "HTTP response to HTTPS client")
	plugin := strings.TrimSpace(h.mustKubectl("get", "plugins", "-o", `jsonpath={.items[?(@.spec.type=="runtime")].metadata.name}`))
	h.mustKubectl("patch", "plugin", plugin, "--type=merge", "-p", `{"spec":{"config":{"insecureRegistries":["`+address+`"]}}}`)
	for pod, password := range map[string]string{"good": "s3cret", "wrong": "guess"} {
		h.mustKubectl("create", "secret", "docker-registry", pod, "--docker-server="+address, "--docker-username=someone", "--docker-password="+password)
	}
	for pod, spec := range map[string]string{"good": "imagePullSecrets: [{name: good}]", "wrong": "imagePullSecrets: [{name: wrong}]", "none": "restartPolicy: Always"} {
		h.apply(`
apiVersion: v1
kind: Pod
metadata: {name: ` + pod + `}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "` + address + `/web:1", imagePullPolicy: Always}]
  ` + spec + "\n")
	}
	pod := h.waitReady("good")
	if id := container(pod, "c").ImageID; !strings.HasPrefix(id, address+"/web@sha256:") {
		t.Errorf("image ID: %s", id)
	}
	h.eventsOf(t, "good", "Successfully pulled image")
	for _, pod := range []string{"wrong", "none"} {
		h.waitWaiting(pod, "c", "ImagePullBackOff", "Back-off pulling image")
		h.eventsOf(t, pod, "ErrImagePull")
		h.eventsOf(t, pod, "401")
	}
	h.apply(`
apiVersion: v1
kind: Pod
metadata: {name: absent}
spec:
  terminationGracePeriodSeconds: 0
  imagePullSecrets: [{name: good}]
  containers: [{name: c, image: "` + address + `/nothing:1"}]
---
apiVersion: v1
kind: Pod
metadata: {name: never}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "` + address + `/nothing:1", imagePullPolicy: Never}]
`)
	h.eventsOf(t, "absent", "not found")
	h.waitWaiting("never", "c", "ErrImageNeverPull")

	// Another image replaces the container, in the same pod.
	h.mustKubectl("set", "image", "pod/good", "c="+address+"/other:1")
	after := h.waitPod("good", func(pod *corev1.Pod) error {
		if s := container(pod, "c"); s.RestartCount != 1 || !strings.HasPrefix(s.ImageID, address+"/other@sha256:") {
			return errors.New("its container was not replaced")
		}
		return ready(pod)
	})
	if after.UID != pod.UID || after.Status.PodIP != pod.Status.PodIP {
		t.Errorf("the pod became another: %+v", after.Status)
	}
}

// serveRegistry serves the web server's image as "web:1" and "other:1" on the
// host's port 5000 over plain HTTP, to who knows a password.
func (h *host) serveRegistry(user, password string) {
	h.t.Helper()
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	loopback := httptest.NewServer(images)
	defer loopback.Close()
	web, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, image := range []string{"web:1", "other:1"} {
		ref, err := name.ParseReference(strings.TrimPrefix(loopback.URL, "http://") + "/" + image)
		if err != nil {
			h.t.Fatal(err)
		}
		if err := remote.Write(ref, web); err != nil {
			h.t.Fatal(err)
		}
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	})}
	listener, err := h.listen(":5000")
	if err != nil {
		h.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(listener)
	}()
	h.t.Cleanup(func() {
		server.Close()
		<-done
	})
}

// listen opens a TCP port in the host's network. A socket stays in the network
// it was made in, whichever thread uses it.
func (h *host) listen(address string) (net.Listener, error) {
	type result struct {
		listener net.Listener
		err      error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // Never unlocked: the thread ends with its goroutine.
		listener, err := func() (net.Listener, error) {
			ns, err := netns.GetFromName(h.name)
			if err != nil {
				return nil, fmt.Errorf("opening the network of %s: %w", h.name, err)
			}
			defer ns.Close()
			if err := netns.Set(ns); err != nil {
				return nil, fmt.Errorf("entering the network of %s: %w", h.name, err)
			}
			return net.Listen("tcp4", address)
		}()
		done <- result{listener, err}
	}()
	r := <-done
	return r.listener, r.err
}
