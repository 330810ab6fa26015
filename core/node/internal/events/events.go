package events

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/pintle-io/pintle/core/node/internal/podspec"
)

// Component that node events come from.
const Component = "pintle-node"

// NewRecorder sends events until ctx ends. Events that the API does not take
// fast enough are dropped by client-go's broadcaster, never waited for.
func NewRecorder(ctx context.Context, client kubernetes.Interface, node string) record.EventRecorder {
	b := record.NewBroadcaster(record.WithContext(ctx))
	b.StartRecordingToSink(&typedv1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	context.AfterFunc(ctx, b.Shutdown)
	return b.NewRecorder(scheme.Scheme, corev1.EventSource{Component: Component, Host: node})
}

// Pod refers to a pod.
func Pod(pod *corev1.Pod) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
		ResourceVersion: pod.ResourceVersion,
	}
}

// Container refers to a container of a pod.
func Container(pod *corev1.Pod, name string) *corev1.ObjectReference {
	ref := Pod(pod)
	ref.FieldPath = "spec.containers{" + name + "}"
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == name {
			ref.FieldPath = "spec.initContainers{" + name + "}"
		}
	}
	return ref
}

// Node refers to the node.
func Node(name string) *corev1.ObjectReference {
	// Events about nodes are looked up by the name as UID, as kubectl does.
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: name, UID: podspec.NodeEventUID(name)}
}
