package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
)

// maxJSONPatchOperations is Kubernetes' limit.
const maxJSONPatchOperations = 10000

// PatchDocument is Patch.
func (s *Service) PatchDocument(ctx context.Context, t Target, pt PatchType, patch []byte, opts PatchOptions) (doc *Document, created bool, err error) {
	r, err := s.begin(ctx, t, "patch")
	if err != nil {
		return nil, false, err
	}
	if err := r.needName("patch"); err != nil {
		return nil, false, err
	}
	if err := r.checkSubresource("patch"); err != nil {
		return nil, false, err
	}
	if errs := validation.ValidatePatchOptions(&opts, pt); len(errs) > 0 {
		return nil, false, apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "PatchOptions"}, "", errs)
	}
	p := &patcher{service: s, request: r, patch: patch, options: &opts}
	switch pt {
	case types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType:
		p.change, p.keys, err = newPatch(pt, patch, opts.FieldValidation)
	case types.ApplyYAMLPatchType:
		return p.apply(ctx)
	default:
		err = apierrors.NewGenericServerResponse(http.StatusUnsupportedMediaType, "patch", r.kind.GroupResource(), r.Name,
			fmt.Sprintf("the patch type %q is not supported", pt), 0, true)
	}
	if err != nil {
		return nil, false, err
	}
	if r.Subresource == subScale {
		doc, err = s.modifyScale(ctx, r, opts.FieldManager, p.dryRun(), p.nextScale(ctx))
		return doc, false, err
	}
	return s.modify(ctx, r, &modification{next: p.next, manager: opts.FieldManager, dryRun: p.dryRun()})
}

// patcher applies one patch request.
type patcher struct {
	service *Service
	request *request
	patch   []byte
	options *PatchOptions
	change  patchFunc
	// keys are the top-level fields that the patch can change; nil for all.
	keys []string
}

// patchFunc applies a patch to the JSON of an object. like is an empty object
// whose type says how lists are merged.
type patchFunc func(original []byte, like runtime.Object) (patched []byte, err error)

func (p *patcher) dryRun() bool { return len(p.options.DryRun) > 0 }

// next is the object with the patch applied.
func (p *patcher) next(ctx context.Context, old current) (runtime.Object, error) {
	r := p.request
	var (
		original []byte
		obj      runtime.Object
		err      error
	)
	if p.keys == nil {
		obj = r.kind.New()
		original, err = (&Document{kind: r.kind, stored: old.entry.Value, revision: old.entry.Revision}).JSON()
	} else {
		// What the patch can't change need not go through JSON.
		obj = old.object.DeepCopyObject()
		clearFields(obj, p.keys)
		original = narrow(r.kind, old.entry, p.keys)
	}
	if err != nil {
		return nil, internal(err)
	}
	patched, err := p.change(original, r.kind.New())
	if err != nil {
		return nil, err
	}
	if err := decodePatched(ctx, patched, obj, p.options.FieldValidation); err != nil {
		return nil, err
	}
	return obj, r.checkPatched(metaOf(obj))
}

func (p *patcher) nextScale(ctx context.Context) func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
	return func(old *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		original, err := json.Marshal(old)
		if err != nil {
			return nil, apierrors.NewInternalError(fmt.Errorf("encoding the scale of %s: %w", p.request.Name, err))
		}
		patched, err := p.change(original, &autoscalingv1.Scale{})
		if err != nil {
			return nil, err
		}
		scale := &autoscalingv1.Scale{}
		return scale, decodePatched(ctx, patched, scale, p.options.FieldValidation)
	}
}

// checkPatched refuses a patch that makes another object of this one.
func (r *request) checkPatched(m metav1.Object) error {
	if err := r.checkNamespace(m); err != nil {
		return err
	}
	if m.GetName() != r.Name {
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", m.GetName(), r.Name))
	}
	return nil
}

// decodePatched decodes the result as strictly as the client asked for.
func decodePatched(ctx context.Context, patched []byte, into runtime.Object, fieldValidation string) error {
	path := field.NewPath("patch")
	strict, err := kjson.UnmarshalStrict(patched, into)
	if err != nil {
		return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(path, string(patched), err.Error())})
	}
	if len(strict) == 0 {
		return nil
	}
	switch fieldValidation {
	case metav1.FieldValidationStrict:
		return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{
			field.Invalid(path, string(patched), runtime.NewStrictDecodingError(strict).Error()),
		})
	case metav1.FieldValidationIgnore:
	default:
		for _, e := range strict {
			AddWarning(ctx, e.Error())
		}
	}
	return nil
}

// newPatch parses a patch once, for however often it is applied. keys are the
// top-level fields that it can change; nil for all.
func newPatch(pt PatchType, patch []byte, fieldValidation string) (change patchFunc, keys []string, err error) {
	if pt == types.JSONPatchType {
		change, err = newJSONPatch(patch)
		return change, nil, err
	}
	content, err := parsePatchObject(patch, fieldValidation)
	if err != nil {
		return nil, nil, err
	}
	keys = make([]string, 0, len(content))
	for key := range content {
		if strings.HasPrefix(key, "$") { // a directive for the whole object
			keys = nil
			break
		}
		keys = append(keys, key)
	}
	if pt == types.MergePatchType {
		return func(original []byte, _ runtime.Object) ([]byte, error) {
			patched, err := jsonpatch.MergePatch(original, patch)
			if err != nil {
				return nil, apierrors.NewBadRequest(err.Error())
			}
			return patched, nil
		}, keys, nil
	}
	return func(original []byte, like runtime.Object) ([]byte, error) {
		patched, err := strategicpatch.StrategicMergePatch(original, patch, like)
		if err != nil {
			return nil, strategicError(err)
		}
		return patched, nil
	}, keys, nil
}

func newJSONPatch(patch []byte) (patchFunc, error) {
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if len(operations) > maxJSONPatchOperations {
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf(
			"The allowed maximum operations in a JSON patch is %d, got %d", maxJSONPatchOperations, len(operations)))
	}
	return func(original []byte, _ runtime.Object) ([]byte, error) {
		patched, err := operations.Apply(original)
		if err != nil {
			return nil, apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
		}
		return patched, nil
	}, nil
}

// parsePatchObject refuses a patch that is no JSON object, and a field that is
// there twice where the client wants to know.
func parsePatchObject(patch []byte, fieldValidation string) (map[string]any, error) {
	var content map[string]any
	strict, err := kjson.UnmarshalStrict(patch, &content)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
	}
	if len(strict) > 0 && fieldValidation == metav1.FieldValidationStrict {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", runtime.NewStrictDecodingError(strict)))
	}
	return content, nil
}

func strategicError(err error) error {
	switch {
	case mergepatch.IsPreconditionFailed(err), mergepatch.IsConflict(err):
		return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
	}
	return apierrors.NewBadRequest(err.Error())
}
