package apiserver

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/apiserver/internal/codec"
	"github.com/pintle-io/pintle/core/apiserver/internal/negotiate"
)

// input is the empty object that a write's body is decoded into.
func (c *call) input() (runtime.Object, schema.GroupVersionKind) {
	switch c.info.Subresource {
	case "scale":
		return &autoscalingv1.Scale{}, autoscalingv1.SchemeGroupVersion.WithKind("Scale")
	case "binding":
		return &corev1.Binding{}, corev1.SchemeGroupVersion.WithKind("Binding")
	case "eviction":
		return &policyv1.Eviction{}, policyv1.SchemeGroupVersion.WithKind("Eviction")
	}
	return c.resource.kind.New(), c.resource.kind.GVK
}

// decode reads the body as an object and checks that it belongs to the path.
func (c *call) decode(fieldValidation string) (runtime.Object, error) {
	validation, err := codec.ParseValidation(fieldValidation)
	if err != nil {
		return nil, err
	}
	format, err := c.bodyFormat()
	if err != nil {
		return nil, err
	}
	body, release, err := c.body()
	if err != nil {
		return nil, err
	}
	defer release()
	obj, gvk := c.input()
	warnings, err := codec.Decode(body, format, obj, gvk, validation)
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		c.warnings.Add(w)
	}
	meta, ok := obj.(metav1.ObjectMetaAccessor)
	if !ok {
		return obj, nil
	}
	return obj, c.checkMeta(meta.GetObjectMeta())
}

// checkMeta refuses an object whose name or namespace contradicts the path,
// and fills them in where it is silent.
func (c *call) checkMeta(meta metav1.Object) error {
	if c.resource.kind.Namespaced {
		switch meta.GetNamespace() {
		case "":
			meta.SetNamespace(c.info.Namespace)
		case c.info.Namespace:
		default:
			return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
		}
	}
	if c.info.Name == "" {
		return nil
	}
	switch meta.GetName() {
	case "":
		if c.info.Subresource == "" {
			return apierrors.NewBadRequest("name is required: the object on the request does not have one")
		}
		meta.SetName(c.info.Name)
	case c.info.Name:
	default:
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", meta.GetName(), c.info.Name))
	}
	return nil
}

// query reads the parameters of a write with one of apimachinery's converters.
func query[T any](c *call, into *T, convert func(*url.Values, *T, conversion.Scope) error) error {
	if c.r.URL.RawQuery == "" {
		return nil
	}
	values := c.r.URL.Query()
	if err := convert(&values, into, nil); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	return nil
}

func invalidOptions(kind string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", errs)
}

func (c *call) create() error {
	if c.info.Name != "" && c.info.Subresource == "" {
		return c.notAllowed()
	}
	out, err := c.accept()
	if err != nil {
		return err
	}
	var opts api.CreateOptions
	if err := query(c, &opts, metav1.Convert_url_Values_To_v1_CreateOptions); err != nil {
		return err
	}
	if err := invalidOptions("CreateOptions", validation.ValidateCreateOptions(&opts)); err != nil {
		return err
	}
	obj, err := c.decode(opts.FieldValidation)
	if err != nil {
		return err
	}
	opts.FieldManager = c.manager(opts.FieldManager)
	doc, err := c.s.api.CreateDocument(c.r.Context(), c.target(), obj, opts)
	if err != nil {
		return err
	}
	return c.answerDocument(http.StatusCreated, out, doc)
}

// createBinding serves the older path for binding a pod, where the pod's name
// is in the body.
func (c *call) createBinding() error {
	if c.r.Method != http.MethodPost || c.info.Name != "" || c.info.Namespace == "" {
		return c.notAllowed()
	}
	c.resource = c.s.resources[resourceKey{"", "v1", "pods"}]
	c.info.Subresource = "binding"
	var opts api.CreateOptions
	if err := query(c, &opts, metav1.Convert_url_Values_To_v1_CreateOptions); err != nil {
		return err
	}
	if err := invalidOptions("CreateOptions", validation.ValidateCreateOptions(&opts)); err != nil {
		return err
	}
	obj, err := c.decode(opts.FieldValidation)
	if err != nil {
		return err
	}
	c.info.Name = obj.(*corev1.Binding).Name
	if c.info.Name == "" {
		return apierrors.NewBadRequest("name is required: a binding carries the name of its pod")
	}
	doc, err := c.s.api.CreateDocument(c.r.Context(), c.target(), obj, opts)
	if err != nil {
		return err
	}
	return c.answerDocument(http.StatusCreated, negotiate.Output{}, doc)
}

func (c *call) update() error {
	if c.info.Name == "" {
		return c.notAllowed()
	}
	out, err := c.accept()
	if err != nil {
		return err
	}
	var opts api.UpdateOptions
	if err := query(c, &opts, metav1.Convert_url_Values_To_v1_UpdateOptions); err != nil {
		return err
	}
	if err := invalidOptions("UpdateOptions", validation.ValidateUpdateOptions(&opts)); err != nil {
		return err
	}
	obj, err := c.decode(opts.FieldValidation)
	if err != nil {
		return err
	}
	opts.FieldManager = c.manager(opts.FieldManager)
	doc, created, err := c.s.api.UpdateDocument(c.r.Context(), c.target(), obj, opts)
	if err != nil {
		return err
	}
	return c.answerDocument(codeOf(created), out, doc)
}

func codeOf(created bool) int {
	if created {
		return http.StatusCreated
	}
	return http.StatusOK
}

// patchTypes are the bodies that a PATCH may carry.
var patchTypes = []string{
	string(types.JSONPatchType), string(types.MergePatchType), string(types.StrategicMergePatchType), string(types.ApplyYAMLPatchType),
}

func (c *call) patch() error {
	if c.info.Name == "" {
		return c.notAllowed()
	}
	out, err := c.accept()
	if err != nil {
		return err
	}
	contentType, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	patchType := types.PatchType(contentType)
	switch patchType {
	case types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType:
	default:
		return negotiate.UnsupportedMediaType(patchTypes)
	}
	if err != nil {
		return negotiate.UnsupportedMediaType(patchTypes)
	}
	var opts api.PatchOptions
	if err := query(c, &opts, metav1.Convert_url_Values_To_v1_PatchOptions); err != nil {
		return err
	}
	if err := invalidOptions("PatchOptions", validation.ValidatePatchOptions(&opts, patchType)); err != nil {
		return err
	}
	opts.FieldManager = c.manager(opts.FieldManager)
	body, release, err := c.body()
	if err != nil {
		return err
	}
	defer release()
	doc, created, err := c.s.api.PatchDocument(c.r.Context(), c.target(), patchType, body, opts)
	if err != nil {
		return err
	}
	return c.answerDocument(codeOf(created), out, doc)
}

// deleteOptions come in the body or, without one, in the query.
func (c *call) deleteOptions() (api.DeleteOptions, error) {
	var opts api.DeleteOptions
	format, err := c.bodyFormat()
	if err != nil {
		return opts, err
	}
	body, release, err := c.body()
	if err != nil {
		return opts, err
	}
	defer release()
	if len(body) > 0 {
		if _, err := codec.DecodeAny(body, format, &opts, "DeleteOptions", codec.Ignore); err != nil {
			return opts, err
		}
	} else if err := query(c, &opts, metav1.Convert_url_Values_To_v1_DeleteOptions); err != nil {
		return opts, err
	}
	return opts, invalidOptions("DeleteOptions", validation.ValidateDeleteOptions(&opts))
}

func (c *call) delete() error {
	out, err := c.accept()
	if err != nil {
		return err
	}
	opts, err := c.deleteOptions()
	if err != nil {
		return err
	}
	doc, gone, err := c.s.api.DeleteDocument(c.r.Context(), c.target(), opts)
	if err != nil {
		return err
	}
	code := http.StatusOK
	if !gone && opts.OrphanDependents != nil && !*opts.OrphanDependents {
		code = http.StatusAccepted
	}
	if gone && !c.resource.returnsDeleted() {
		return c.answerDeleted(out, doc)
	}
	return c.answerDocument(code, out, doc)
}

// returnsDeleted tells for which kinds a deletion is answered with the object
// as it was last; for the others Kubernetes answers with a status.
func (res *resource) returnsDeleted() bool {
	if res.kind.GVK.Group != corev1.GroupName {
		return false
	}
	switch res.kind.Resource {
	case "pods", "services", "serviceaccounts":
		return true
	}
	return false
}

func (c *call) answerDeleted(out negotiate.Output, doc *api.Document) error {
	obj, err := doc.Object()
	if err != nil {
		return err
	}
	status := &metav1.Status{Status: metav1.StatusSuccess}
	if meta, ok := obj.(metav1.ObjectMetaAccessor); ok {
		m := meta.GetObjectMeta()
		status.Details = &metav1.StatusDetails{Name: m.GetName(), Group: c.resource.kind.GVK.Group, Kind: c.resource.kind.Resource, UID: m.GetUID()}
	}
	out.As = schema.GroupVersionKind{}
	c.answerObject(http.StatusOK, out, statusKind, status)
	return nil
}

func (c *call) deleteCollection() error {
	out, err := c.accept()
	if err != nil {
		return err
	}
	listOpts, _, err := c.listOptions()
	if err != nil {
		return err
	}
	opts, err := c.deleteOptions()
	if err != nil {
		return err
	}
	list, err := c.s.api.DeleteCollection(c.r.Context(), c.collection(), opts, listOpts)
	if err != nil {
		return err
	}
	return c.answerList(out, metav1.TableOptions{}, list)
}

// manager is the field manager of a write: the one that the client names, else
// the client's program.
func (c *call) manager(name string) string {
	if name != "" {
		return name
	}
	const most = 128 // bytes, as validation allows
	program, _, _ := strings.Cut(c.r.UserAgent(), "/")
	for i, r := range program {
		if !unicode.IsPrint(r) {
			return ""
		}
		if i >= most {
			return program[:i]
		}
	}
	return program
}
