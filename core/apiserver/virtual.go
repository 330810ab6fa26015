package apiserver

import (
	"fmt"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/apiserver/internal/codec"
	"github.com/pintle-io/pintle/core/apiserver/internal/negotiate"
	"github.com/pintle-io/pintle/core/apiserver/internal/request"
	"github.com/pintle-io/pintle/core/auth"
)

// serveVirtual serves resources that keep no objects: questions that are
// answered, and the older path for bindings.
func (c *call) serveVirtual() error {
	if c.info.Subresource != "" {
		return notServed()
	}
	resource := schema.GroupVersionResource{Group: c.info.Group, Version: c.info.Version, Resource: c.info.Resource}
	switch resource {
	case schema.GroupVersionResource{Version: "v1", Resource: "bindings"}:
		return c.createBinding()
	case authenticationv1.SchemeGroupVersion.WithResource("selfsubjectreviews"):
		return c.selfSubjectReview()
	case authorizationv1.SchemeGroupVersion.WithResource("selfsubjectaccessreviews"):
		return c.selfSubjectAccessReview()
	case authorizationv1.SchemeGroupVersion.WithResource("subjectaccessreviews"):
		return c.subjectAccessReview()
	case authorizationv1.SchemeGroupVersion.WithResource("localsubjectaccessreviews"):
		return c.localSubjectAccessReview()
	case customResourceDefinitions:
		return c.noDefinitions()
	}
	return notServed()
}

// question reads the body of a virtual resource, which can only be created.
func (c *call) question(into runtime.Object, gvk schema.GroupVersionKind) (negotiate.Output, error) {
	if c.info.Verb != request.VerbCreate || c.info.Name != "" {
		return negotiate.Output{}, c.notAllowed()
	}
	out, err := negotiate.Accept(c.r, negotiate.Offer{Protobuf: true})
	if err != nil {
		return out, err
	}
	format, err := c.bodyFormat()
	if err != nil {
		return out, err
	}
	body, release, err := c.body()
	if err != nil {
		return out, err
	}
	defer release()
	_, err = codec.Decode(body, format, into, gvk, codec.Ignore)
	return out, err
}

// selfSubjectReview tells who asks.
func (c *call) selfSubjectReview() error {
	var review authenticationv1.SelfSubjectReview
	gvk := authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview")
	out, err := c.question(&review, gvk)
	if err != nil {
		return err
	}
	review.Status.UserInfo = authenticationv1.UserInfo{Username: c.user.Name, UID: c.user.UID, Groups: c.user.Groups}
	for key, values := range c.user.Extra {
		if review.Status.UserInfo.Extra == nil {
			review.Status.UserInfo.Extra = map[string]authenticationv1.ExtraValue{}
		}
		review.Status.UserInfo.Extra[key] = values
	}
	review.CreationTimestamp = metav1.Now()
	c.answerObject(http.StatusCreated, out, gvk, &review)
	return nil
}

func (c *call) selfSubjectAccessReview() error {
	var review authorizationv1.SelfSubjectAccessReview
	gvk := authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview")
	out, err := c.question(&review, gvk)
	if err != nil {
		return err
	}
	review.Status, err = c.mayUser(c.user, review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes)
	if err != nil {
		return err
	}
	c.answerObject(http.StatusCreated, out, gvk, &review)
	return nil
}

func (c *call) subjectAccessReview() error {
	var review authorizationv1.SubjectAccessReview
	gvk := authorizationv1.SchemeGroupVersion.WithKind("SubjectAccessReview")
	if err := c.authorizeResource(); err != nil {
		return err
	}
	out, err := c.question(&review, gvk)
	if err != nil {
		return err
	}
	review.Status, err = c.mayUser(reviewedUser(&review.Spec), review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes)
	if err != nil {
		return err
	}
	c.answerObject(http.StatusCreated, out, gvk, &review)
	return nil
}

func (c *call) localSubjectAccessReview() error {
	var review authorizationv1.LocalSubjectAccessReview
	gvk := authorizationv1.SchemeGroupVersion.WithKind("LocalSubjectAccessReview")
	if err := c.authorizeResource(); err != nil {
		return err
	}
	out, err := c.question(&review, gvk)
	if err != nil {
		return err
	}
	if a := review.Spec.ResourceAttributes; a == nil || a.Namespace != c.info.Namespace {
		return apierrors.NewBadRequest(fmt.Sprintf("spec.resourceAttributes.namespace must be the namespace of the path, %q", c.info.Namespace))
	}
	review.Status, err = c.mayUser(reviewedUser(&review.Spec), review.Spec.ResourceAttributes, nil)
	if err != nil {
		return err
	}
	c.answerObject(http.StatusCreated, out, gvk, &review)
	return nil
}

func reviewedUser(spec *authorizationv1.SubjectAccessReviewSpec) auth.User {
	return auth.User{Name: spec.User, UID: spec.UID, Groups: spec.Groups}
}

// mayUser answers whether a user may do what is described.
func (c *call) mayUser(u auth.User, resource *authorizationv1.ResourceAttributes, other *authorizationv1.NonResourceAttributes) (authorizationv1.SubjectAccessReviewStatus, error) {
	a := auth.Attributes{User: u}
	switch {
	case (resource == nil) == (other == nil):
		return authorizationv1.SubjectAccessReviewStatus{}, apierrors.NewBadRequest("exactly one of spec.resourceAttributes and spec.nonResourceAttributes must be set")
	case resource != nil:
		a.Verb, a.Group, a.Resource, a.Subresource = resource.Verb, resource.Group, resource.Resource, resource.Subresource
		a.Namespace, a.Name = resource.Namespace, resource.Name
	default:
		a.Verb, a.Path = other.Verb, other.Path
	}
	allowed, reason, err := c.s.api.Authorizer().Authorize(c.r.Context(), a)
	if err != nil {
		return authorizationv1.SubjectAccessReviewStatus{EvaluationError: err.Error()}, nil
	}
	return authorizationv1.SubjectAccessReviewStatus{Allowed: allowed, Reason: reason}, nil
}

// customResourceDefinitions are not served yet. kubectl lists them before it
// complains of a kind that it does not know, and its complaint is only clear
// where the list is there: that there are none is the truth.
var customResourceDefinitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

func (c *call) noDefinitions() error {
	if c.info.Verb != request.VerbList {
		return notServed()
	}
	if err := c.authorizeResource(); err != nil {
		return err
	}
	rev, err := c.s.api.Revision(c.r.Context())
	if err != nil {
		return err
	}
	list := &metav1.PartialObjectMetadataList{Items: []metav1.PartialObjectMetadata{}}
	list.ResourceVersion = fmt.Sprint(rev)
	gvk := customResourceDefinitions.GroupVersion().WithKind("CustomResourceDefinitionList")
	c.answerObject(http.StatusOK, negotiate.Output{}, gvk, list)
	return nil
}
