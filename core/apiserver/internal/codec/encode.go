package codec

import (
	"bytes"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/pintle-io/pintle/core/apiserver/internal/negotiate"
)

// Append encodes obj, whose kind is gvk whatever its TypeMeta says.
func Append(dst []byte, out negotiate.Output, gvk schema.GroupVersionKind, obj runtime.Object) ([]byte, error) {
	if out.Format == negotiate.Protobuf {
		return AppendProtobuf(dst, gvk, obj)
	}
	if obj.GetObjectKind().GroupVersionKind() != gvk {
		obj = obj.DeepCopyObject()
		obj.GetObjectKind().SetGroupVersionKind(gvk)
	}
	raw, err := json.Marshal(obj)
	if err != nil {
		return dst, fmt.Errorf("encode %s: %w", gvk.Kind, err)
	}
	return AppendText(dst, out, raw)
}

// AppendText appends JSON as out wants it: compact, pretty or as YAML.
func AppendText(dst []byte, out negotiate.Output, raw []byte) ([]byte, error) {
	switch {
	case out.Format == negotiate.YAML:
		text, err := yaml.JSONToYAML(raw)
		if err != nil {
			return dst, fmt.Errorf("turn JSON into YAML: %w", err)
		}
		return append(dst, text...), nil
	case out.Pretty:
		var b bytes.Buffer
		if err := json.Indent(&b, raw, "", "  "); err != nil {
			return dst, fmt.Errorf("indent JSON: %w", err)
		}
		return append(append(dst, b.Bytes()...), '\n'), nil
	}
	return append(append(dst, raw...), '\n'), nil
}
