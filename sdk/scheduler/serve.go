package scheduler

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// Serve runs the scheduler until its host goes away. It does not return.
func Serve(info plugin.Info, profile Profile) {
	info.Permissions = append(info.Permissions, Permissions()...)
	plugin.Serve(info, Contract(profile))
}

// Permissions are what every scheduler's decisions need.
func Permissions() []*pluginv1.Permission {
	return []*pluginv1.Permission{
		{Resources: []string{"pods", "nodes", "namespaces"}, Verbs: []string{"get", "list", "watch"}},
		{Resources: []string{"pods/binding"}, Verbs: []string{"create"}},
		{Resources: []string{"pods/status"}, Verbs: []string{"patch"}},
		{Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
	}
}

// Contract is the plugin's side of the wire.
func Contract(profile Profile) plugin.Contract {
	s := &server{profile: profile}
	s.name.Store(ptr(corev1.DefaultSchedulerName))
	return s
}

type server struct {
	profile Profile
	name    atomic.Pointer[string]
}

func (s *server) Type() pluginv1.PluginType { return pluginv1.PluginType_PLUGIN_TYPE_SCHEDULER }
func (s *server) Implementation() any       { return s }

func (s *server) Register(r grpc.ServiceRegistrar) {
	stream.Register(r, func(out stream.Sender) stream.Handler {
		return newHandler(s.profile, *s.name.Load(), out)
	})
}

// Configure takes the name of the pods' schedulers that this one is.
func (s *server) Configure(_ context.Context, req *plugin.ConfigureRequest) error {
	if name := req.GetSchedulerName(); name != "" {
		s.name.Store(&name)
	}
	return plugin.DecodeConfig(req, &struct{}{})
}

// The watches, by their place in the spec. Pods come in two parts, so that a
// change of a pod that has its node makes nothing due.
const (
	watchWaiting = iota
	watchPlaced
	watchNodes
	watchNamespaces
)

// maxInFlight lets the core apply many bindings at once, which is where the
// time goes; a decision itself takes microseconds.
const maxInFlight = 512

func (s *server) Describe(d *pluginv1.DescribeResponse) {
	kind := func(k string) *pluginv1.GroupVersionKind {
		return &pluginv1.GroupVersionKind{Version: corev1.SchemeGroupVersion.Version, Kind: k}
	}
	const active = "status.phase!=Succeeded,status.phase!=Failed"
	d.Loop = &pluginv1.LoopSpec{
		KeyKind: kind("Pod"),
		Watches: []*pluginv1.Watch{
			watchWaiting: {Kind: kind("Pod"), FieldSelector: "spec.nodeName=," + active, Fields: []string{"spec", "status.conditions"}, Trigger: pluginv1.Trigger_TRIGGER_SELF},
			watchPlaced:  {Kind: kind("Pod"), FieldSelector: "spec.nodeName!=," + active, Fields: []string{"spec"}, Trigger: pluginv1.Trigger_TRIGGER_NONE},
			watchNodes: {
				Kind: kind("Node"), Trigger: pluginv1.Trigger_TRIGGER_MAPPED,
				Fields: []string{"spec.taints", "spec.unschedulable", "status.allocatable"},
			},
			watchNamespaces: {Kind: kind("Namespace"), Fields: []string{"spec"}, Trigger: pluginv1.Trigger_TRIGGER_NONE},
		},
		Encodings:   []pluginv1.Encoding{pluginv1.Encoding_ENCODING_KUBERNETES_PROTOBUF, pluginv1.Encoding_ENCODING_JSON},
		MaxInFlight: maxInFlight,
	}
}

func ptr[T any](v T) *T { return &v }
