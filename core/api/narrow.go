package api

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/core/store"
)

// narrow is the JSON of a stored object with the top-level fields named and no
// others, cut out without decoding.
func narrow(k *registry.Kind, e store.Entry, keys []string) []byte {
	out := make([]byte, 0, len(e.Value)/2+64)
	out = append(out, '{')
	for _, key := range keys {
		value, found := topField(e.Value, key)
		if !found {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = strconv.AppendQuote(out, key)
		out = append(out, ':')
		if key == "metadata" {
			out = append(out, `{"resourceVersion":"`...)
			out = strconv.AppendUint(out, e.Revision, 10)
			out = append(out, `",`...)
			value = value[1:]
		}
		out = append(out, value...)
	}
	return append(out, '}')
}

// clearFields sets the top-level fields of an object that have these JSON names
// to nothing.
func clearFields(obj runtime.Object, keys []string) {
	clearStruct(reflect.ValueOf(obj).Elem(), keys)
}

func clearStruct(v reflect.Value, keys []string) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" && field.Anonymous && strings.Contains(options, "inline") {
			clearStruct(v.Field(i), keys)
			continue
		}
		if slices.Contains(keys, name) {
			v.Field(i).SetZero()
		}
	}
}
