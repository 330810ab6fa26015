package loop

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/core/registry"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
)

// narrower reduces objects of one kind to the fields that a watch wants, and
// encodes them. Watches of one kind that want the same share the result.
type narrower struct {
	kind  *registry.Kind
	paths [][]string // JSON names; none for the whole object
	id    string
}

// encodedAs is the key under which an event's encoding is kept.
type encodedAs struct {
	encoding pluginv1.Encoding
	fields   string
}

func newNarrower(kind *registry.Kind, paths []string) (*narrower, error) {
	n := &narrower{kind: kind}
	paths = slices.Clone(paths)
	slices.Sort(paths)
	n.id = strings.Join(paths, ",")
	for _, p := range paths {
		path := strings.Split(p, ".")
		if n.covers(path) {
			continue
		}
		if path[0] != "metadata" {
			if _, ok := kind.New().(runtime.Unstructured); !ok {
				if err := checkPath(reflect.TypeOf(kind.New()).Elem(), path); err != nil {
					return nil, fmt.Errorf("field %q of %s: %w", p, kind.GVK.Kind, err)
				}
			}
		}
		n.paths = append(n.paths, path)
	}
	return n, nil
}

// covers tells whether a path lies within one that is wanted already.
func (n *narrower) covers(path []string) bool {
	return slices.ContainsFunc(n.paths, func(wider []string) bool {
		return len(wider) <= len(path) && slices.Equal(wider, path[:len(wider)])
	})
}

func checkPath(t reflect.Type, path []string) error {
	for _, name := range path {
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return fmt.Errorf("%q is below what has no fields", name)
		}
		i := fieldIndex(t, name)
		if i < 0 {
			return fmt.Errorf("there is no %q", name)
		}
		t = t.Field(i).Type
	}
	return nil
}

// fieldIndex finds a struct's field by its JSON name.
func fieldIndex(t reflect.Type, name string) int {
	for i := range t.NumField() {
		if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); tag == name {
			return i
		}
	}
	return -1
}

// encode returns an event's object, narrowed, in an encoding.
func (n *narrower) encode(e *Event, encoding pluginv1.Encoding) ([]byte, error) {
	if e.Derived == nil {
		return stream.Encode(encoding, n.kind.GVK, n.reduce(e.Object))
	}
	data, err := e.Derived.Do(encodedAs{encoding, n.id}, func() (any, error) {
		return stream.Encode(encoding, n.kind.GVK, n.reduce(e.Object))
	})
	if err != nil {
		return nil, err
	}
	return data.([]byte), nil
}

// reduce returns an object that has the wanted fields and shares them with the
// one given.
func (n *narrower) reduce(obj runtime.Object) runtime.Object {
	if u, ok := obj.(*unstructured.Unstructured); ok {
		return n.reduceMap(u)
	}
	m, ok := obj.(metav1.ObjectMetaAccessor)
	if !ok {
		return obj
	}
	if len(n.paths) == 0 && len(m.GetObjectMeta().GetManagedFields()) == 0 {
		return obj
	}
	from := reflect.ValueOf(obj).Elem()
	reduced := reflect.New(from.Type())
	to := reduced.Elem()
	if len(n.paths) == 0 {
		to.Set(from)
	} else {
		for _, always := range []string{"TypeMeta", "ObjectMeta"} {
			if f := to.FieldByName(always); f.IsValid() {
				f.Set(from.FieldByName(always))
			}
		}
		for _, path := range n.paths {
			copyPath(to, from, path)
		}
	}
	out := reduced.Interface()
	out.(metav1.ObjectMetaAccessor).GetObjectMeta().SetManagedFields(nil)
	return out.(runtime.Object)
}

func copyPath(to, from reflect.Value, path []string) {
	i := fieldIndex(from.Type(), path[0])
	if i < 0 || path[0] == "metadata" {
		return
	}
	src, dst := from.Field(i), to.Field(i)
	if len(path) == 1 {
		dst.Set(src)
		return
	}
	if src.Kind() == reflect.Pointer {
		if src.IsNil() {
			return
		}
		if dst.IsNil() {
			dst.Set(reflect.New(src.Type().Elem()))
		}
		src, dst = src.Elem(), dst.Elem()
	}
	copyPath(dst, src, path[1:])
}

func (n *narrower) reduceMap(u *unstructured.Unstructured) runtime.Object {
	out := map[string]any{}
	if len(n.paths) == 0 {
		for k, v := range u.Object {
			out[k] = v
		}
	} else {
		for _, k := range []string{"apiVersion", "kind", "metadata"} {
			out[k] = u.Object[k]
		}
		for _, path := range n.paths {
			if v, ok, err := unstructured.NestedFieldNoCopy(u.Object, path...); ok && err == nil && path[0] != "metadata" {
				setNested(out, v, path)
			}
		}
	}
	if m, ok := out["metadata"].(map[string]any); ok && m["managedFields"] != nil {
		reduced := make(map[string]any, len(m))
		for k, v := range m {
			if k != "managedFields" {
				reduced[k] = v
			}
		}
		out["metadata"] = reduced
	}
	return &unstructured.Unstructured{Object: out}
}

func setNested(m map[string]any, value any, path []string) {
	for _, name := range path[:len(path)-1] {
		next, ok := m[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[name] = next
		}
		m = next
	}
	m[path[len(path)-1]] = value
}
