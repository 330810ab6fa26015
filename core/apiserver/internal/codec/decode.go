package codec

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/pintle-io/pintle/core/apiserver/internal/negotiate"
)

// Validation is what happens to fields that the server does not know and to
// fields given twice.
type Validation uint8

const (
	// Warn takes the object and returns a warning for each; the default.
	Warn Validation = iota
	// Strict refuses the object.
	Strict
	// Ignore drops them in silence.
	Ignore
)

// ParseValidation reads the fieldValidation parameter.
func ParseValidation(s string) (Validation, error) {
	switch s {
	case "", metav1.FieldValidationWarn:
		return Warn, nil
	case metav1.FieldValidationStrict:
		return Strict, nil
	case metav1.FieldValidationIgnore:
		return Ignore, nil
	}
	return Warn, apierrors.NewBadRequest(fmt.Sprintf("invalid fieldValidation %q: supported values: %q, %q, %q",
		s, metav1.FieldValidationIgnore, metav1.FieldValidationWarn, metav1.FieldValidationStrict))
}

// Decode reads a body into obj, which must be empty and of kind gvk. A body
// that does not name its kind is taken for that kind. Errors are Kubernetes
// statuses.
func Decode(body []byte, format negotiate.Format, obj runtime.Object, gvk schema.GroupVersionKind, validation Validation) (warnings []string, err error) {
	if len(body) == 0 {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the request has no body: a %s is expected", gvk.Kind))
	}
	if format == negotiate.Protobuf {
		return nil, decodeProtobuf(body, obj, gvk)
	}

	var unknown []error
	if format == negotiate.YAML {
		original := body
		if body, err = yaml.YAMLToJSON(original); err != nil {
			return nil, malformed(original, gvk, err)
		}
		if validation != Ignore {
			if _, err := yaml.YAMLToJSONStrict(original); err != nil {
				unknown = append(unknown, err)
			}
		}
	}
	if validation == Ignore {
		err = kjson.UnmarshalCaseSensitivePreserveInts(body, obj)
	} else {
		var strict []error
		strict, err = kjson.UnmarshalStrict(body, obj)
		unknown = append(unknown, strict...)
	}
	if mismatch := checkKind(body, obj, gvk); mismatch != nil {
		return nil, mismatch
	}
	if err != nil {
		return nil, malformed(body, gvk, err)
	}
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	if len(unknown) == 0 {
		return nil, nil
	}
	if validation == Strict {
		return nil, apierrors.NewBadRequest(runtime.NewStrictDecodingError(dedupe(unknown)).Error())
	}
	for _, u := range dedupe(unknown) {
		warnings = append(warnings, u.Error())
	}
	return warnings, nil
}

// DecodeAny is Decode for bodies whose group version the caller does not care
// about, such as DeleteOptions, which every group has.
func DecodeAny(body []byte, format negotiate.Format, obj runtime.Object, kind string, validation Validation) (warnings []string, err error) {
	gvk := schema.GroupVersionKind{Version: "v1", Kind: kind}
	if format == negotiate.Protobuf {
		unknown, err := openEnvelope(body)
		if err != nil {
			return nil, malformed(body, gvk, err)
		}
		gvk = schema.FromAPIVersionAndKind(unknown.APIVersion, unknown.Kind)
	} else {
		var named metav1.TypeMeta
		if err := yaml.Unmarshal(body, &named); err == nil && named.APIVersion != "" {
			gvk = schema.FromAPIVersionAndKind(named.APIVersion, named.Kind)
		}
	}
	if gvk.Kind == "" {
		gvk.Kind = kind
	}
	if gvk.Kind != kind {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s", gvk.Kind, gvk.GroupVersion(), kind))
	}
	return Decode(body, format, obj, gvk, validation)
}

func decodeProtobuf(body []byte, obj runtime.Object, gvk schema.GroupVersionKind) error {
	m, ok := obj.(message)
	if !ok {
		return negotiate.UnsupportedMediaType([]string{runtime.ContentTypeJSON, runtime.ContentTypeYAML})
	}
	unknown, err := openEnvelope(body)
	if err != nil {
		return malformed(body, gvk, err)
	}
	if given := schema.FromAPIVersionAndKind(unknown.APIVersion, unknown.Kind); unknown.Kind != "" && given != gvk {
		return wrongKind(given, gvk)
	}
	if err := m.Unmarshal(unknown.Raw); err != nil {
		return malformed(body, gvk, err)
	}
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	return nil
}

// checkKind compares the kind that a body names with the expected one. It
// comes before every other complaint, which would only confuse who sent an
// object to the wrong address.
func checkKind(body []byte, obj runtime.Object, gvk schema.GroupVersionKind) error {
	apiVersion, kind := obj.GetObjectKind().GroupVersionKind().ToAPIVersionAndKind()
	if kind == "" && apiVersion == "" {
		// Decoding may have stopped before it came to them.
		var named metav1.TypeMeta
		if err := kjson.UnmarshalCaseSensitivePreserveInts(body, &named); err != nil {
			return nil
		}
		apiVersion, kind = named.APIVersion, named.Kind
	}
	given := schema.FromAPIVersionAndKind(apiVersion, kind)
	if kind == "" {
		given.Kind = gvk.Kind
	}
	if apiVersion == "" {
		given.Group, given.Version = gvk.Group, gvk.Version
	}
	if given == gvk {
		return nil
	}
	return wrongKind(given, gvk)
}

func wrongKind(given, want schema.GroupVersionKind) error {
	if given.Kind == want.Kind {
		return apierrors.NewBadRequest(fmt.Sprintf("the API version in the data (%s) does not match the expected API version (%s)",
			given.GroupVersion(), want.GroupVersion()))
	}
	return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: no kind %q is served at this path",
		given.Kind, given.GroupVersion().String(), want.Kind, given.Kind))
}

func malformed(body []byte, gvk schema.GroupVersionKind, err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return err
	}
	return apierrors.NewBadRequest(fmt.Sprintf("the object provided is unrecognized (must be of type %s): %s (%s)",
		gvk.Kind, strings.TrimSpace(err.Error()), summary(body)))
}

// summary shows the beginning of a body, as text where it looks like text.
func summary(body []byte) string {
	const most = 30
	head, more := body, ""
	if len(head) > most {
		head, more = head[:most], " ..."
	}
	for _, b := range head {
		if b < ' ' && b != '\n' && b != '\t' && b != '\r' || b > '~' {
			return hex.EncodeToString(head) + more
		}
	}
	return fmt.Sprintf("%q%s", head, more)
}

// dedupe keeps the first of equal complaints: YAML and JSON both report a
// field given twice.
func dedupe(errs []error) []error {
	seen := make(map[string]bool, len(errs))
	kept := errs[:0]
	for _, err := range errs {
		if !seen[err.Error()] {
			seen[err.Error()] = true
			kept = append(kept, err)
		}
	}
	return kept
}
