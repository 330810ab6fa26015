package server

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/core/node/internal/logs"
	"github.com/pintle-io/pintle/core/node/internal/podspec"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// httpError is an answer with a code.
type httpError struct {
	code int
	text string
}

func (e *httpError) Error() string { return e.text }

func problem(code int, format string, args ...any) *httpError {
	return &httpError{code, fmt.Sprintf(format, args...)}
}

func (e *httpError) answer(w http.ResponseWriter) { http.Error(w, e.text, e.code) }

// pod that the request's path names.
func (s *Server) pod(r *http.Request) (*corev1.Pod, *httpError) {
	namespace, name := r.PathValue("namespace"), r.PathValue("pod")
	pod := s.o.Find(namespace, name)
	if pod == nil || r.PathValue("uid") != "" && r.PathValue("uid") != string(pod.UID) {
		return nil, problem(http.StatusNotFound, "pod %q does not exist on node %s", namespace+"/"+name, s.o.NodeName)
	}
	return pod, nil
}

// run of the container that the path names: the newest, or with previous the
// one before.
func (s *Server) container(pod *corev1.Pod, name string, previous bool) (*pluginv1.Container, *httpError) {
	if podspec.FindContainer(pod, name) == nil {
		return nil, problem(http.StatusBadRequest, "container %q is not valid for pod %q", name, pod.Name)
	}
	var runs []*pluginv1.Container
	for _, c := range s.o.View.Pod(pod.UID).Containers {
		if c.Name == name {
			runs = append(runs, c)
		}
	}
	switch {
	case previous && len(runs) > 1:
		return runs[1], nil
	case previous && len(runs) == 1 && runs[0].State == pluginv1.Container_STATE_EXITED && waiting(pod, name) != nil:
		// The next run is still waited for: the one before it is the last.
		return runs[0], nil
	case previous:
		return nil, problem(http.StatusBadRequest, "previous terminated container %q in pod %q not found", name, pod.Name)
	case len(runs) == 0:
		reason := "ContainerCreating"
		if w := waiting(pod, name); w != nil {
			reason = w.Reason
			if w.Message != "" {
				reason += ": " + w.Message
			}
		}
		return nil, problem(http.StatusBadRequest, "container %q in pod %q is waiting to start: %s", name, pod.Name, reason)
	}
	return runs[0], nil
}

func waiting(pod *corev1.Pod, name string) *corev1.ContainerStateWaiting {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				return list[i].State.Waiting
			}
		}
	}
	return nil
}

// running container that the path names.
func (s *Server) running(r *http.Request) (*pluginv1.Container, *httpError) {
	pod, fail := s.pod(r)
	if fail != nil {
		return nil, fail
	}
	c, fail := s.container(pod, r.PathValue("container"), false)
	if fail != nil {
		return nil, fail
	}
	if c.State != pluginv1.Container_STATE_RUNNING {
		return nil, problem(http.StatusBadRequest, "container %q of pod %q is not running", c.Name, pod.Name)
	}
	return c, nil
}

func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	pod, fail := s.pod(r)
	if fail != nil {
		fail.answer(w)
		return
	}
	q := r.URL.Query()
	o := logs.Options{Follow: q.Get("follow") == "true", Timestamps: q.Get("timestamps") == "true"}
	switch q.Get("stream") {
	case "Stdout":
		o.Stream = "stdout"
	case "Stderr":
		o.Stream = "stderr"
	}
	number := func(name string) (*int64, bool) {
		if !q.Has(name) {
			return nil, true
		}
		n, err := strconv.ParseInt(q.Get(name), 10, 64)
		return &n, err == nil && n >= 0
	}
	var ok, ok2, ok3 bool
	var limit, since *int64
	o.Tail, ok = number("tailLines")
	limit, ok2 = number("limitBytes")
	since, ok3 = number("sinceSeconds")
	if !ok || !ok2 || !ok3 {
		http.Error(w, "tailLines, limitBytes and sinceSeconds are whole numbers, 0 or greater", http.StatusBadRequest)
		return
	}
	if limit != nil {
		o.LimitBytes = *limit
	}
	if since != nil {
		o.Since = time.Now().Add(-time.Duration(*since) * time.Second)
	} else if text := q.Get("sinceTime"); text != "" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			http.Error(w, "sinceTime is a time as of RFC 3339", http.StatusBadRequest)
			return
		}
		o.Since = at
	}
	run, fail := s.container(pod, r.PathValue("container"), q.Get("previous") == "true")
	if fail != nil {
		fail.answer(w)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	running := func() bool {
		c, ok := s.o.View.Container(run.Id)
		return ok && (c.State == pluginv1.Container_STATE_RUNNING || c.State == pluginv1.Container_STATE_CREATED)
	}
	out := flushing{w, http.NewResponseController(w)}
	if o.Follow {
		_ = out.c.Flush() // the client sees that it is being served
	}
	if err := logs.Read(r.Context(), run.LogPath, o, running, out); err != nil && r.Context().Err() == nil {
		s.o.Log.Warn("reading a container's log failed", "container", run.Id, "log", run.LogPath, "error", err)
		fmt.Fprintf(w, "reading the log failed: %v\n", err)
	}
}

// flushing sends each line at once.
type flushing struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.c.Flush()
	}
	return n, err
}
