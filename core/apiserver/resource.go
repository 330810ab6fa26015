package apiserver

import (
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/apiserver/internal/codec"
	"github.com/pintle-io/pintle/core/apiserver/internal/discovery"
	"github.com/pintle-io/pintle/core/apiserver/internal/negotiate"
	"github.com/pintle-io/pintle/core/apiserver/internal/request"
	"github.com/pintle-io/pintle/core/registry"
)

type resourceKey struct{ group, version, resource string }

// resource is a kind with what its requests need, made once.
type resource struct {
	kind         *registry.Kind
	protobuf     bool
	listGVK      schema.GroupVersionKind
	subresources map[string]metav1.Verbs
	// listHead begins every list as JSON, up to the metadata's value.
	listHead []byte
	metrics  resourceMetrics
}

func newResource(k *registry.Kind) *resource {
	res := &resource{
		kind:         k,
		protobuf:     codec.HasProtobuf(k.New()),
		listGVK:      k.ListGVK(),
		subresources: map[string]metav1.Verbs{},
	}
	res.listHead = []byte(`{"kind":"` + res.listGVK.Kind + `","apiVersion":"` + res.listGVK.GroupVersion().String() + `","metadata":`)
	for _, sub := range discovery.Subresources(k) {
		res.subresources[sub.Name] = sub.Verbs
	}
	return res
}

// serveResource serves a path below a group version.
func (c *call) serveResource() error {
	if c.resource == nil {
		return c.serveVirtual()
	}
	k, info := c.resource.kind, &c.info
	subVerbs, isSub := c.resource.subresources[info.Subresource]
	switch {
	case info.Subresource != "" && !isSub:
		return notServed()
	case isSub && !slices.Contains(subVerbs, info.Verb):
		return c.notAllowed()
	case info.Rest != "" && info.Subresource != "proxy":
		return notServed()
	case info.Verb == "":
		return c.notAllowed()
	case !k.Namespaced && info.Namespace != "" && k.Resource != "namespaces":
		return notServed()
	}
	if k.Namespaced && info.Namespace == "" {
		// The collection over all namespaces can be read and no more.
		switch info.Verb {
		case request.VerbList, request.VerbWatch:
		case request.VerbCreate, request.VerbDeleteCollection:
			return c.notAllowed()
		default:
			return notServed()
		}
	}

	switch info.Subresource {
	case "exec", "attach", "portforward", "log", "proxy":
		return c.connect()
	}
	switch info.Verb {
	case request.VerbGet:
		return c.get()
	case request.VerbList:
		return c.list()
	case request.VerbWatch:
		return c.watch()
	case request.VerbCreate:
		return c.create()
	case request.VerbUpdate:
		return c.update()
	case request.VerbPatch:
		return c.patch()
	case request.VerbDelete:
		return c.delete()
	case request.VerbDeleteCollection:
		return c.deleteCollection()
	}
	return c.notAllowed()
}

func (c *call) notAllowed() error {
	return apierrors.NewGenericServerResponse(http.StatusMethodNotAllowed, c.r.Method,
		schema.GroupResource{Group: c.info.Group, Resource: c.info.Resource}, c.info.Name, "", 0, true)
}

// target of a request for one object.
func (c *call) target() api.Target {
	t := c.collection()
	t.Name, t.Subresource = c.info.Name, c.info.Subresource
	return t
}

// collection of a request; a name that a selector narrows it to is no part.
func (c *call) collection() api.Target {
	t := api.Target{Resource: c.resource.kind.GroupResource()}
	if c.resource.kind.Namespaced {
		t.Namespace = c.info.Namespace
	}
	return t
}

// accept chooses the form of the answer.
func (c *call) accept() (negotiate.Output, error) {
	return negotiate.Accept(c.r, negotiate.Objects(c.resource.protobuf))
}
