package manager

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"

	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
)

// resource is the path segment of Plugin objects.
const resource = "plugins"

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := pintlev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	return scheme, nil
}

// NewClient returns a REST client for pintle.io/v1.
func NewClient(config *rest.Config) (rest.Interface, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	c := rest.CopyConfig(config)
	gv := pintlev1.GroupVersion
	c.GroupVersion = &gv
	c.APIPath = "/apis"
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	// Custom kinds have no protobuf form.
	c.ContentType = runtime.ContentTypeJSON
	c.AcceptContentTypes = runtime.ContentTypeJSON
	return rest.RESTClientFor(c)
}

// NewRecorder returns a recorder that writes events about Plugin objects through
// the API, and a function that ends it. Component names who says so: "pintled".
func NewRecorder(config *rest.Config, component, node string) (record.EventRecorder, func(), error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, nil, err
	}
	client, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.Events(metav1.NamespaceAll)})
	recorder := broadcaster.NewRecorder(scheme, corev1.EventSource{Component: component, Host: node})
	return recorder, broadcaster.Shutdown, nil
}
