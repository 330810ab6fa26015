package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/proxy"
	translator "k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/streaming/pkg/httpstream/wsstream"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/apiserver/internal/request"
	"github.com/pintle-io/pintle/core/auth"
)

// connect serves the subresources that stream to and from a node or a pod.
// core/api has no part in them, so they are authorized here.
func (c *call) connect() error {
	if err := c.authorizeResource(); err != nil {
		return err
	}
	switch c.resource.kind.Resource + "/" + c.info.Subresource {
	case "pods/log":
		return c.podLog()
	case "pods/exec":
		return c.podExec("exec")
	case "pods/attach":
		return c.podExec("attach")
	case "pods/portforward":
		return c.podPortForward()
	case "pods/proxy":
		return c.podProxy()
	case "services/proxy":
		return c.serviceProxy()
	case "nodes/proxy":
		return c.nodeProxy()
	}
	return notServed()
}

// authorizeResource asks whether the user may use a resource that core/api has
// no part in.
func (c *call) authorizeResource() error {
	a := auth.Attributes{
		User: c.user, Verb: c.info.Verb,
		Group: c.info.Group, Resource: c.info.Resource, Subresource: c.info.Subresource,
		Namespace: c.info.Namespace, Name: c.info.Name,
	}
	allowed, reason, err := c.s.api.Authorizer().Authorize(c.r.Context(), a)
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("authorize %s of %s/%s: %w", a.Verb, a.Resource, a.Subresource, err))
	}
	if allowed {
		return nil
	}
	resource := a.Resource
	if a.Subresource != "" {
		resource += "/" + a.Subresource
	}
	msg := fmt.Sprintf("User %q cannot %s resource %q in API group %q", a.User.Name, a.Verb, resource, a.Group)
	if a.Namespace != "" {
		msg += fmt.Sprintf(" in the namespace %q", a.Namespace)
	} else {
		msg += " at the cluster scope"
	}
	if reason != "" {
		msg += ": " + reason
	}
	return apierrors.NewForbidden(schema.GroupResource{Group: a.Group, Resource: a.Resource}, a.Name, errors.New(msg))
}

// asServer is the context in which the server looks up what a stream needs:
// the user was authorized for the stream, not for these.
func (c *call) asServer() context.Context {
	return auth.WithUser(c.r.Context(), auth.System("apiserver"))
}

// streamedPod reads the pod of a stream.
func (c *call) streamedPod(name string) (*corev1.Pod, error) {
	obj, err := c.s.api.Get(c.asServer(), api.Target{
		Resource: schema.GroupResource{Resource: "pods"}, Namespace: c.info.Namespace, Name: name,
	}, api.GetOptions{})
	if err != nil {
		return nil, err
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return nil, fmt.Errorf("read pod %s/%s: got %T", c.info.Namespace, name, obj)
	}
	return pod, nil
}

// defaultContainer is the annotation that kubectl honours too.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// container checks the container that a stream names, or finds the only one.
func container(pod *corev1.Pod, name string) (string, error) {
	var regular, all []string
	for i := range pod.Spec.Containers {
		regular = append(regular, pod.Spec.Containers[i].Name)
	}
	var initial []string
	for i := range pod.Spec.InitContainers {
		initial = append(initial, pod.Spec.InitContainers[i].Name)
	}
	all = append(append(all, regular...), initial...)
	for i := range pod.Spec.EphemeralContainers {
		all = append(all, pod.Spec.EphemeralContainers[i].Name)
	}
	if name == "" {
		if preferred := pod.Annotations[defaultContainer]; slices.Contains(regular, preferred) {
			return preferred, nil
		}
		if len(regular) == 1 {
			return regular[0], nil
		}
		msg := fmt.Sprintf("a container name must be specified for pod %s, choose one of: %v", pod.Name, regular)
		if len(initial) > 0 {
			msg += fmt.Sprintf(" or one of the init containers: %v", initial)
		}
		return "", apierrors.NewBadRequest(msg)
	}
	if !slices.Contains(all, name) {
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, pod.Name))
	}
	return name, nil
}

// podExec serves exec and attach.
func (c *call) podExec(verb string) error {
	values := c.r.URL.Query()
	opts := translator.Options{
		Stdin:  request.Bool(values["stdin"]),
		Stdout: request.Bool(values["stdout"]),
		Stderr: request.Bool(values["stderr"]),
		Tty:    request.Bool(values["tty"]),
	}
	command := values["command"]
	switch {
	case verb == "attach" && values["stdout"] == nil:
		opts.Stdout = true // the documented default of attach
	case verb == "exec" && values["stdout"] == nil && values["stderr"] == nil && values["stdin"] == nil:
		opts.Stdout, opts.Stderr = true, true
	}
	switch {
	case !opts.Stdin && !opts.Stdout && !opts.Stderr:
		return apierrors.NewBadRequest("you must specify at least one of stdin, stdout, stderr")
	case opts.Tty && opts.Stderr:
		// One terminal has one stream, which the standard output carries.
		opts.Stderr = false
	}
	if verb == "exec" && len(command) == 0 {
		return apierrors.NewBadRequest("you must specify at least 1 command for the container")
	}
	pod, err := c.streamedPod(c.info.Name)
	if err != nil {
		return err
	}
	name, err := container(pod, values.Get("container"))
	if err != nil {
		return err
	}
	params := url.Values{}
	for key, on := range map[string]bool{"input": opts.Stdin, "output": opts.Stdout, "error": opts.Stderr, "tty": opts.Tty} {
		if on {
			params.Set(key, "1")
		}
	}
	for _, arg := range command {
		params.Add("command", arg)
	}
	location, err := c.s.nodes.location(c.asServer(), pod.Spec.NodeName, pod.Name,
		"/"+verb+"/"+url.PathEscape(pod.Namespace)+"/"+url.PathEscape(pod.Name)+"/"+url.PathEscape(name), params)
	if err != nil {
		return err
	}
	upgrade := c.upgradeHandler(location, true)
	translate := translator.NewStreamTranslatorHandler(location, c.s.nodes.transport, 0, opts)
	c.serveUpgrade(translator.NewTranslatingHandler(upgrade, translate, wsstream.IsWebSocketRequestWithStreamCloseProtocol))
	return nil
}

func (c *call) podPortForward() error {
	pod, err := c.streamedPod(c.info.Name)
	if err != nil {
		return err
	}
	params := url.Values{}
	for _, ports := range c.r.URL.Query()["ports"] {
		for port := range strings.SplitSeq(ports, ",") {
			if _, err := strconv.ParseUint(port, 10, 16); err != nil {
				return apierrors.NewBadRequest(fmt.Sprintf("port %q is not a number between 1 and 65535", port))
			}
			params.Add("port", port)
		}
	}
	location, err := c.s.nodes.location(c.asServer(), pod.Spec.NodeName, pod.Name,
		"/portForward/"+url.PathEscape(pod.Namespace)+"/"+url.PathEscape(pod.Name), params)
	if err != nil {
		return err
	}
	upgrade := c.upgradeHandler(location, true)
	tunnel := translator.NewTunnelingHandler(upgrade)
	c.serveUpgrade(translator.NewTranslatingHandler(upgrade, tunnel, wsstream.IsWebSocketRequestWithTunnelingProtocol))
	return nil
}

// upgradeHandler proxies to a node's agent.
func (c *call) upgradeHandler(location *url.URL, upgradeRequired bool) *proxy.UpgradeAwareHandler {
	h := proxy.NewUpgradeAwareHandler(location, c.s.nodes.transport, false, upgradeRequired, &responder{c})
	h.UseLocationHost = true
	return h
}

// serveUpgrade hands a request on without what is for this server alone: its
// credentials.
func (c *call) serveUpgrade(h http.Handler) {
	r := c.r.Clone(c.r.Context())
	r.Header.Del("Authorization")
	h.ServeHTTP(&c.w, r)
}

// responder answers with the errors of the proxies.
type responder struct{ call *call }

func (r *responder) Error(_ http.ResponseWriter, _ *http.Request, err error) {
	if r.call.w.code != 0 || r.call.w.hijacked {
		r.call.s.log.Debug("stream ended", "path", r.call.r.URL.Path, "error", err)
		return
	}
	r.call.fail(unreachable(err))
}

// unreachable turns the failure to reach a node or pod into an answer.
func unreachable(err error) error {
	var known apierrors.APIStatus
	if errors.As(err, &known) {
		return err
	}
	return apierrors.NewGenericServerResponse(http.StatusBadGateway, "", schema.GroupResource{}, "",
		fmt.Sprintf("error trying to reach the node or pod: %v", err), 0, true)
}
