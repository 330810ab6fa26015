package registry

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// Registry finds kinds. It does not change after New and is safe for
// concurrent use.
type Registry struct {
	kinds      []*Kind
	byResource map[schema.GroupResource]*Kind
	byKind     map[schema.GroupVersionKind]*Kind
	scheme     *runtime.Scheme
	codecs     serializer.CodecFactory
}

// New makes a registry of the kinds. It fails where one is incomplete or two
// claim the same name.
func New(kinds ...*Kind) (*Registry, error) {
	r := &Registry{
		kinds:      slices.Clone(kinds),
		byResource: make(map[schema.GroupResource]*Kind, len(kinds)),
		byKind:     make(map[schema.GroupVersionKind]*Kind, len(kinds)),
	}
	shortNames := map[string]*Kind{}
	var errs []error
	for _, k := range kinds {
		if err := k.complete(); err != nil {
			errs = append(errs, err)
			continue
		}
		if other, taken := r.byKind[k.GVK]; taken {
			errs = append(errs, fmt.Errorf("register %s: the kind is there already, as resource %q", k.GVK, other.Resource))
		}
		if other, taken := r.byResource[k.GroupResource()]; taken {
			errs = append(errs, fmt.Errorf("register %s: resource %q belongs to %s already", k.GVK, k.GroupResource(), other.GVK))
		}
		for _, name := range k.ShortNames {
			if other, taken := shortNames[name]; taken {
				errs = append(errs, fmt.Errorf("register %s: short name %q belongs to %s already", k.GVK, name, other.GVK))
			}
			shortNames[name] = k
		}
		r.byKind[k.GVK] = k
		r.byResource[k.GroupResource()] = k
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortFunc(r.kinds, func(a, b *Kind) int {
		return cmp.Or(cmp.Compare(a.GVK.Group, b.GVK.Group), cmp.Compare(a.GVK.Version, b.GVK.Version), cmp.Compare(a.Resource, b.Resource))
	})
	scheme, err := newScheme(r.kinds)
	if err != nil {
		return nil, err
	}
	r.scheme = scheme
	r.codecs = serializer.NewCodecFactory(scheme)
	return r, nil
}

// Kinds lists all kinds by group, version and resource; the core group first.
// The slice is shared and must not be changed.
func (r *Registry) Kinds() []*Kind { return r.kinds }

// Versions lists the group versions served, in the order of Kinds.
func (r *Registry) Versions() []schema.GroupVersion {
	var versions []schema.GroupVersion
	for _, k := range r.kinds {
		if gv := k.GVK.GroupVersion(); !slices.Contains(versions, gv) {
			versions = append(versions, gv)
		}
	}
	return versions
}

// ByResource finds a kind by group and plural.
func (r *Registry) ByResource(gr schema.GroupResource) (*Kind, bool) {
	k, ok := r.byResource[gr]
	return k, ok
}

// ByVersionedResource finds a kind by group, version and plural.
func (r *Registry) ByVersionedResource(gvr schema.GroupVersionResource) (*Kind, bool) {
	k, ok := r.byResource[gvr.GroupResource()]
	if !ok || k.GVK.Version != gvr.Version {
		return nil, false
	}
	return k, true
}

// ByKind finds a kind by group, version and kind.
func (r *Registry) ByKind(gvk schema.GroupVersionKind) (*Kind, bool) {
	k, ok := r.byKind[gvk]
	return k, ok
}

// Scheme knows the types of all kinds, of their lists and of subresources.
func (r *Registry) Scheme() *runtime.Scheme { return r.scheme }

// Codecs serialize what the scheme knows: JSON, YAML and Kubernetes protobuf.
func (r *Registry) Codecs() serializer.CodecFactory { return r.codecs }

// GroupResource names the kind in errors, permissions and store keys.
func (k *Kind) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: k.GVK.Group, Resource: k.Resource}
}

// GroupVersionResource names the kind in paths.
func (k *Kind) GroupVersionResource() schema.GroupVersionResource {
	return k.GVK.GroupVersion().WithResource(k.Resource)
}

// ListGVK is the kind of a list of objects.
func (k *Kind) ListGVK() schema.GroupVersionKind {
	return k.GVK.GroupVersion().WithKind(k.GVK.Kind + "List")
}

// complete says what an entry lacks that every reader relies on.
func (k *Kind) complete() error {
	switch {
	case k.GVK.Version == "" || k.GVK.Kind == "":
		return fmt.Errorf("register %q: version and kind must be set", k.GVK)
	case k.Resource == "" || k.Singular == "":
		return fmt.Errorf("register %s: resource and singular must be set", k.GVK)
	case k.New == nil || k.NewList == nil:
		return fmt.Errorf("register %s: New and NewList must be set", k.GVK)
	case k.ValidateName == nil:
		return fmt.Errorf("register %s: ValidateName must be set", k.GVK)
	case (k.Row == nil) != (len(k.Columns) == 0):
		return fmt.Errorf("register %s: Columns and Row go together", k.GVK)
	case (k.Fields == nil) != (len(k.FieldNames) == 0):
		return fmt.Errorf("register %s: FieldNames and Fields go together", k.GVK)
	case k.Status && k.PrepareForStatusUpdate == nil:
		return fmt.Errorf("register %s: a status subresource needs PrepareForStatusUpdate", k.GVK)
	case (k.Claims == nil) != (k.Allocate == nil):
		return fmt.Errorf("register %s: Claims and Allocate go together", k.GVK)
	}
	return nil
}
