package api

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/pintle-io/pintle/core/registry"
)

const (
	fieldName      = "metadata.name"
	fieldNamespace = "metadata.namespace"

	// maxSelectorLength and maxRequirements bound what one request can make the
	// server compare with every object.
	maxSelectorLength = 64 << 10
	maxRequirements   = 1000
)

// selection is what narrows a list or watch.
type selection struct {
	// labels and fields are nil where they select everything.
	labels labels.Selector
	fields fields.Selector
	// terms stand for fields where all of them are plain.
	terms []fields.Requirement
	// name and namespace are those that the field selector requires, which
	// narrows the keys to read.
	name, namespace string
}

// parseSelection parses the selectors of a request about a kind.
func (s *Service) parseSelection(k *registry.Kind, labelSelector, fieldSelector string) (selection, error) {
	var sel selection
	if labelSelector != "" {
		if len(labelSelector) > maxSelectorLength {
			return sel, errSelectorTooLong("label", len(labelSelector))
		}
		parsed, err := labels.Parse(labelSelector)
		if err != nil {
			return sel, apierrors.NewBadRequest(fmt.Sprintf("unable to parse label selector %q: %v", labelSelector, err))
		}
		requirements, _ := parsed.Requirements()
		if len(requirements) > maxRequirements {
			return sel, apierrors.NewBadRequest(fmt.Sprintf("the label selector has %d requirements and the limit is %d", len(requirements), maxRequirements))
		}
		if !parsed.Empty() {
			sel.labels = parsed
		}
	}
	if fieldSelector != "" {
		if len(fieldSelector) > maxSelectorLength {
			return sel, errSelectorTooLong("field", len(fieldSelector))
		}
		parsed, err := fields.ParseSelector(fieldSelector)
		if err != nil {
			return sel, apierrors.NewBadRequest(fmt.Sprintf("unable to parse field selector %q: %v", fieldSelector, err))
		}
		for _, r := range parsed.Requirements() {
			if !selectable(k, r.Field) {
				return sel, apierrors.NewBadRequest(fmt.Sprintf("field label not supported: %s", r.Field))
			}
		}
		if !parsed.Empty() {
			sel.fields = parsed
			sel.terms, _ = plainTerms(parsed, s.plain[k])
			sel.name, _ = parsed.RequiresExactMatch(fieldName)
			sel.namespace, _ = parsed.RequiresExactMatch(fieldNamespace)
		}
	}
	return sel, nil
}

func errSelectorTooLong(which string, length int) error {
	return apierrors.NewBadRequest(fmt.Sprintf("the %s selector has %d characters and the limit is %d", which, length, maxSelectorLength))
}

func selectable(k *registry.Kind, name string) bool {
	if name == fieldName || name == fieldNamespace && k.Namespaced {
		return true
	}
	for _, f := range k.FieldNames {
		if f == name {
			return true
		}
	}
	return false
}

// everything tells whether nothing is narrowed.
func (sel *selection) everything() bool { return sel.labels == nil && sel.fields == nil }

// matches tells whether an object is selected.
func (sel *selection) matches(d *Document) (bool, error) {
	if sel.labels != nil {
		set, err := d.Labels()
		if err != nil || !sel.labels.Matches(set) {
			return false, err
		}
	}
	if sel.terms != nil {
		for _, t := range sel.terms {
			if !d.meets(t) {
				return false, nil
			}
		}
		return true, nil
	}
	if sel.fields != nil {
		set, err := d.Fields()
		if err != nil || !sel.fields.Matches(set) {
			return false, err
		}
	}
	return true, nil
}

// scope is the part of the keys that a list or watch reads.
type scope struct {
	prefix string
	// exact is the one key wanted, empty for all under prefix.
	exact string
}

// scopeOf narrows the keys by the target and by what the selector requires.
// ok is false where nothing can match.
func scopeOf(r *request, sel *selection) (sc scope, ok bool) {
	namespace, name := r.Namespace, r.Name
	if sel.namespace != "" {
		if namespace != "" && namespace != sel.namespace {
			return scope{}, false
		}
		namespace = sel.namespace
	}
	if sel.name != "" {
		if name != "" && name != sel.name {
			return scope{}, false
		}
		name = sel.name
	}
	sc.prefix = collectionPrefix(r.kind, namespace)
	if name != "" && (namespace != "" || !r.kind.Namespaced) {
		sc.exact = objectKey(r.kind, namespace, name)
		sc.prefix = sc.exact
	}
	return sc, true
}

func (sc scope) contains(key string) bool {
	if sc.exact != "" {
		return key == sc.exact
	}
	return len(key) > len(sc.prefix) && key[:len(sc.prefix)] == sc.prefix
}
