package discovery

import (
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/registry"
)

var (
	collectionVerbs = metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
	createVerbs     = metav1.Verbs{"create"}
	connectVerbs    = metav1.Verbs{"create", "get"}
	proxyVerbs      = metav1.Verbs{"create", "delete", "get", "patch", "update"}
	stateVerbs      = metav1.Verbs{"get", "patch", "update"}
)

// Subresource is one path below an object.
type Subresource struct {
	Name string
	// GVK of what is sent or answered there.
	GVK   schema.GroupVersionKind
	Verbs metav1.Verbs
}

// Subresources lists what a kind has below its objects, by name.
func Subresources(k *registry.Kind) []Subresource {
	var subs []Subresource
	if k.Status {
		subs = append(subs, Subresource{"status", k.GVK, stateVerbs})
	}
	if k.Scale != nil {
		subs = append(subs, Subresource{"scale", autoscalingv1.SchemeGroupVersion.WithKind("Scale"), stateVerbs})
	}
	if k.GVK.Group == corev1.GroupName {
		subs = append(subs, coreSubresources(k.Resource)...)
	}
	slices.SortFunc(subs, func(a, b Subresource) int { return strings.Compare(a.Name, b.Name) })
	return subs
}

func coreSubresources(resource string) []Subresource {
	core := corev1.SchemeGroupVersion.WithKind
	switch resource {
	case "namespaces":
		return []Subresource{{"finalize", core("Namespace"), metav1.Verbs{"update"}}}
	case "nodes":
		return []Subresource{{"proxy", core("NodeProxyOptions"), proxyVerbs}}
	case "services":
		return []Subresource{{"proxy", core("ServiceProxyOptions"), proxyVerbs}}
	case "pods":
		return []Subresource{
			{"attach", core("PodAttachOptions"), connectVerbs},
			{"binding", core("Binding"), createVerbs},
			{"eviction", policyv1.SchemeGroupVersion.WithKind("Eviction"), createVerbs},
			{"exec", core("PodExecOptions"), connectVerbs},
			{"log", core("Pod"), metav1.Verbs{"get"}},
			{"portforward", core("PodPortForwardOptions"), connectVerbs},
			{"proxy", core("PodProxyOptions"), proxyVerbs},
		}
	}
	return nil
}

// Virtual is a resource without stored objects.
type Virtual struct {
	Resource, Singular string
	GVK                schema.GroupVersionKind
	Namespaced         bool
	Verbs              metav1.Verbs
}

// Virtuals lists the resources that take requests and keep nothing.
func Virtuals() []Virtual {
	authentication, authorization := authenticationv1.SchemeGroupVersion.WithKind, authorizationv1.SchemeGroupVersion.WithKind
	return []Virtual{
		{"bindings", "binding", corev1.SchemeGroupVersion.WithKind("Binding"), true, createVerbs},
		{"selfsubjectreviews", "selfsubjectreview", authentication("SelfSubjectReview"), false, createVerbs},
		{"localsubjectaccessreviews", "localsubjectaccessreview", authorization("LocalSubjectAccessReview"), true, createVerbs},
		{"selfsubjectaccessreviews", "selfsubjectaccessreview", authorization("SelfSubjectAccessReview"), false, createVerbs},
		{"subjectaccessreviews", "subjectaccessreview", authorization("SubjectAccessReview"), false, createVerbs},
	}
}

// versions lists what is served, kinds and virtual resources alike.
func versions(kinds *registry.Registry) []schema.GroupVersion {
	list := kinds.Versions()
	for _, v := range Virtuals() {
		if gv := v.GVK.GroupVersion(); !slices.Contains(list, gv) {
			list = append(list, gv)
		}
	}
	slices.SortStableFunc(list, func(a, b schema.GroupVersion) int { return strings.Compare(a.Group, b.Group) })
	return list
}

// apiResources lists the resources of one version in the classic form.
func apiResources(kinds []*registry.Kind, gv schema.GroupVersion) []metav1.APIResource {
	var list []metav1.APIResource
	for _, k := range kinds {
		if k.GVK.GroupVersion() != gv {
			continue
		}
		list = append(list, metav1.APIResource{
			Name: k.Resource, SingularName: k.Singular, Namespaced: k.Namespaced, Kind: k.GVK.Kind,
			Verbs: collectionVerbs, ShortNames: k.ShortNames, Categories: k.Categories,
		})
		for _, sub := range Subresources(k) {
			r := metav1.APIResource{Name: k.Resource + "/" + sub.Name, Namespaced: k.Namespaced, Kind: sub.GVK.Kind, Verbs: sub.Verbs}
			if sub.GVK.GroupVersion() != gv {
				r.Group, r.Version = sub.GVK.Group, sub.GVK.Version
			}
			list = append(list, r)
		}
	}
	for _, v := range Virtuals() {
		if v.GVK.GroupVersion() == gv {
			list = append(list, metav1.APIResource{Name: v.Resource, SingularName: v.Singular, Namespaced: v.Namespaced, Kind: v.GVK.Kind, Verbs: v.Verbs})
		}
	}
	slices.SortFunc(list, func(a, b metav1.APIResource) int { return strings.Compare(a.Name, b.Name) })
	return list
}
