package registry_test

import (
	"strings"
	"testing"

	"github.com/pintle-io/pintle/core/registry"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestBuiltinKindsAreFoundInEveryWay(t *testing.T) {
	r := builtin(t, registry.Options{})
	var names []string
	for _, k := range r.Kinds() {
		names = append(names, k.GroupResource().String())
		if got, ok := r.ByKind(k.GVK); !ok || got != k {
			t.Errorf("ByKind(%s) = %v", k.GVK, got)
		}
		if got, ok := r.ByVersionedResource(k.GroupVersionResource()); !ok || got != k {
			t.Errorf("ByVersionedResource(%s) = %v", k.GroupVersionResource(), got)
		}
		if !r.Scheme().Recognizes(k.GVK) || !r.Scheme().Recognizes(k.ListGVK()) {
			t.Errorf("the scheme lacks %s or its list", k.GVK)
		}
		if k.Row != nil {
			if cells := k.Row(k.New(), now); len(cells) != len(k.Columns) {
				t.Errorf("%s: %d cells in %d columns", k.GVK, len(cells), len(k.Columns))
			}
		}
		if k.Fields != nil {
			set := k.Fields(k.New())
			for _, name := range k.FieldNames {
				if !set.Has(name) {
					t.Errorf("%s: field %q may be selected and has no value", k.GVK, name)
				}
			}
			if len(set) != len(k.FieldNames) {
				t.Errorf("%s: fields %v, names %v", k.GVK, set, k.FieldNames)
			}
		}
	}
	want := "configmaps endpoints events namespaces nodes pods replicationcontrollers secrets serviceaccounts services " +
		"replicasets.apps leases.coordination.k8s.io endpointslices.discovery.k8s.io plugins.pintle.io"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("kinds in order:\n got %s\nwant %s", got, want)
	}
	if _, ok := r.ByVersionedResource(schema.GroupVersionResource{Group: "apps", Version: "v1beta1", Resource: "replicasets"}); ok {
		t.Error("apps/v1beta1 is found and is not served")
	}
}

func TestNewRefusesDuplicatesAndIncompleteKinds(t *testing.T) {
	kinds := registry.Builtin(registry.Options{})
	if _, err := registry.New(append(kinds, kinds[0])...); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("twice the same kind: %v", err)
	}
	broken := *kinds[0]
	broken.New = nil
	if _, err := registry.New(&broken); err == nil || !strings.Contains(err.Error(), "New and NewList must be set") {
		t.Errorf("a kind without New: %v", err)
	}
}
