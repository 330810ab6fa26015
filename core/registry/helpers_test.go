package registry_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pintle-io/pintle/core/registry"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var now = metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))

func builtin(t testing.TB, o registry.Options) *registry.Registry {
	t.Helper()
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	r, err := registry.New(registry.Builtin(o)...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func kind(t testing.TB, r *registry.Registry, group, resource string) *registry.Kind {
	t.Helper()
	k, ok := r.ByResource(schema.GroupResource{Group: group, Resource: resource})
	if !ok {
		t.Fatalf("no kind for %s in group %q", resource, group)
	}
	return k
}

// decode reads a manifest and defaults it.
func decode(t testing.TB, r *registry.Registry, manifest string) (runtime.Object, *registry.Kind) {
	t.Helper()
	obj, gvk, err := r.Codecs().UniversalDeserializer().Decode([]byte(manifest), nil, nil)
	if err != nil {
		t.Fatalf("decode:\n%s\n%v", manifest, err)
	}
	k, ok := r.ByKind(*gvk)
	if !ok {
		t.Fatalf("no kind %s", gvk)
	}
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	if k.Default != nil {
		k.Default(obj)
	}
	return obj, k
}

// created is the manifest's object as it is before its first write.
func created(t testing.TB, r *registry.Registry, manifest string) (runtime.Object, *registry.Kind) {
	t.Helper()
	obj, k := decode(t, r, manifest)
	if k.PrepareForCreate != nil {
		k.PrepareForCreate(context.Background(), obj)
	}
	return obj, k
}

// createErrors are what a create of the manifest is refused for.
func createErrors(t testing.TB, r *registry.Registry, manifest string) []string {
	t.Helper()
	obj, k := created(t, r, manifest)
	m, err := meta.Accessor(obj)
	if err != nil {
		t.Fatal(err)
	}
	if k.Namespaced && m.GetNamespace() == "" {
		m.SetNamespace("default")
	}
	errs := validation.ValidateObjectMetaAccessor(m, k.Namespaced, k.ValidateName, field.NewPath("metadata"))
	if k.Validate != nil {
		errs = append(errs, k.Validate(obj)...)
	}
	return texts(errs)
}

// updateErrors are what replacing old by obj is refused for.
func updateErrors(t testing.TB, r *registry.Registry, old, manifest string) []string {
	t.Helper()
	before, _ := created(t, r, old)
	obj, k := decode(t, r, manifest)
	return texts(update(k, obj, before))
}

func update(k *registry.Kind, obj, old runtime.Object) field.ErrorList {
	if k.PrepareForUpdate != nil {
		k.PrepareForUpdate(context.Background(), obj, old)
	}
	var errs field.ErrorList
	if k.Validate != nil {
		errs = append(errs, k.Validate(obj)...)
	}
	if k.ValidateUpdate != nil {
		errs = append(errs, k.ValidateUpdate(obj, old)...)
	}
	return errs
}

func texts(errs field.ErrorList) []string {
	var all []string
	for _, err := range errs {
		text, _, _ := strings.Cut(err.Error(), "\n")
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

// expect compares lists of messages without regard to order.
func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	got, want = slices.Clone(got), slices.Clone(want)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("messages (-want +got):\n%s", diff.Diff(want, got))
	}
}

// indent moves a block of YAML to the right.
func indent(n int, block string) string {
	lines := strings.Split(strings.Trim(block, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.Repeat(" ", n) + lines[i]
	}
	return strings.Join(lines, "\n") + "\n"
}

// podWith is a valid pod with more in its spec.
func podWith(spec string) string {
	return podManifest("image: web", spec)
}

// podManifest is a pod with one container of the given fields.
func podManifest(container, spec string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: default}\nspec:\n%s  containers:\n  - name: c\n%s",
		indent(2, spec), indent(4, container))
}

func contains(s, part string) bool { return strings.Contains(s, part) }
