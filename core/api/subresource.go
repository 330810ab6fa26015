package api

import (
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	subStatus   = "status"
	subScale    = "scale"
	subBinding  = "binding"
	subEviction = "eviction"
	subFinalize = "finalize"
)

var podResource = schema.GroupResource{Resource: "pods"}

func (r *request) isPod() bool { return r.kind.GroupResource() == podResource }

func (r *request) isNamespace() bool {
	return r.kind.GVK.Kind == "Namespace" && r.kind.GVK.GroupVersion() == corev1.SchemeGroupVersion
}

// checkSubresource refuses a subresource that the kind does not have, or that
// the verb is not for.
func (r *request) checkSubresource(verb string) error {
	served := false
	switch r.Subresource {
	case "":
		return nil
	case subStatus:
		served = r.kind.Status
	case subScale:
		served = r.kind.Scale != nil
	case subFinalize:
		if r.isNamespace() {
			if verb == "update" {
				return nil
			}
			return errMethod(r.kind.GroupResource(), verb)
		}
	case subBinding, subEviction:
		if r.isPod() {
			return errMethod(r.kind.GroupResource(), verb)
		}
	}
	if !served {
		return errUnknownResource(schema.GroupResource{Group: r.kind.GVK.Group, Resource: r.kind.Resource + "/" + r.Subresource})
	}
	switch verb {
	case "get", "update", "patch":
		return nil
	}
	return apierrors.NewMethodNotSupported(r.kind.GroupResource(), verb)
}
