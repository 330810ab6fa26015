package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/registry"
)

// request is a Target that was resolved, with who asks.
type request struct {
	Target
	kind *registry.Kind
	user auth.User
}

// resolve finds the kind of a target and checks its form.
func (s *Service) resolve(ctx context.Context, t Target) (*request, error) {
	k, ok := s.kinds.ByResource(t.Resource)
	if !ok {
		return nil, errUnknownResource(t.Resource)
	}
	if !k.Namespaced {
		t.Namespace = ""
	}
	if strings.Contains(t.Name, "/") || strings.Contains(t.Namespace, "/") {
		return nil, apierrors.NewBadRequest("a name or namespace may not contain '/'")
	}
	if k.Namespaced && t.Name != "" && t.Namespace == "" {
		return nil, apierrors.NewBadRequest("an empty namespace may not be set when a resource name is provided")
	}
	return &request{Target: t, kind: k, user: auth.UserFrom(ctx)}, nil
}

// begin resolves a target and authorizes a verb on it.
func (s *Service) begin(ctx context.Context, t Target, verb string) (*request, error) {
	r, err := s.resolve(ctx, t)
	if err != nil {
		return nil, err
	}
	return r, s.authorize(ctx, r, verb, nil)
}

func (s *Service) authorize(ctx context.Context, r *request, verb string, selected fields.Selector) error {
	a := auth.Attributes{
		User: r.user, Verb: verb,
		Group: r.kind.GVK.Group, Resource: r.kind.Resource, Subresource: r.Subresource,
		Namespace: r.Namespace, Name: r.Name, Fields: selected,
	}
	if a.Name == "" && selected != nil {
		// As in Kubernetes, to select one name is to name it.
		a.Name, _ = selected.RequiresExactMatch("metadata.name")
	}
	allowed, reason, err := s.authorizer.Authorize(ctx, a)
	if err != nil {
		return internal(fmt.Errorf("authorizing %s to %s %s: %w", r.user.Name, verb, r.kind.Resource, err))
	}
	if allowed {
		return nil
	}
	return forbidden(a, reason)
}

// forbidden is the error of a request that was not authorized, in Kubernetes'
// words.
func forbidden(a auth.Attributes, reason string) error {
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

func (r *request) key() string { return objectKey(r.kind, r.Namespace, r.Name) }

// needName refuses a request for one object that names none.
func (r *request) needName(verb string) error {
	if r.Name == "" {
		return errMethod(r.kind.GroupResource(), verb)
	}
	return nil
}
