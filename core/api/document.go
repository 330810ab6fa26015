package api

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/core/store"
)

// Document is one object, in its stored form or decoded; each is made from the
// other when asked for. Both carry metadata.resourceVersion. A Document is
// shared and must not be copied or changed.
type Document struct {
	kind *registry.Kind
	// stored is the JSON without resourceVersion; nil for an object that is not
	// stored, such as a scale, a dry run's result or a bookmark.
	stored   []byte
	revision uint64
	key      string
	// cache, where not nil, is asked for the object before it is decoded. It is
	// set for documents whose readers share the object.
	cache *objectCache
	// origin, where not nil, is the object decoded, which others share.
	origin runtime.Object

	decode sync.Once
	object runtime.Object
	err    error

	labelsOnce sync.Once
	labels     labels.Set
	labelsErr  error

	plainMu sync.Mutex
	plain   map[string]string

	fieldsOnce sync.Once
	fields     fields.Set
	fieldsErr  error
}

// entryDocument is a stored object.
func entryDocument(k *registry.Kind, e store.Entry) *Document {
	return &Document{kind: k, stored: e.Value, revision: e.Revision, key: e.Key}
}

// written is the document of an object as it is stored now. The object is kept
// for the next one who needs it and must not be changed any more; who asks the
// document for its object gets a copy.
func (s *Service) written(k *registry.Kind, e store.Entry, obj runtime.Object) *Document {
	setRevision(obj, e.Revision)
	s.cache.put(e.Key, e.Revision, obj, len(e.Value))
	d := entryDocument(k, e)
	d.origin = obj
	return d
}

// decoded returns an entry's object, which must not be changed.
func (s *Service) decoded(k *registry.Kind, e store.Entry) (runtime.Object, error) {
	if obj, ok := s.cache.get(e.Key, e.Revision); ok {
		return obj, nil
	}
	return decodeStored(k, e.Value, e.Revision, e.Key)
}

// virtualDocument is an object that is not in the store.
func virtualDocument(k *registry.Kind, obj runtime.Object) *Document {
	d := &Document{kind: k}
	d.decode.Do(func() { d.object = obj })
	return d
}

// Kind of the object; nil for those that no kind stands for, such as a scale
// or a status.
func (d *Document) Kind() *registry.Kind { return d.kind }

// Revision is the object's resourceVersion; 0 where it is not stored.
func (d *Document) Revision() uint64 { return d.revision }

// Key is the object's key in the store; empty where it is not stored.
func (d *Document) Key() string { return d.key }

// Object decodes the document, once. The result is shared by all who have
// this document.
func (d *Document) Object() (runtime.Object, error) {
	d.decode.Do(func() {
		if d.origin != nil {
			d.object = d.origin.DeepCopyObject()
			return
		}
		if d.cache != nil {
			if obj, ok := d.cache.get(d.key, d.revision); ok {
				d.object = obj
				return
			}
		}
		d.object, d.err = decodeStored(d.kind, d.stored, d.revision, d.key)
	})
	return d.object, d.err
}

// AppendJSON appends the object as JSON to dst. A stored object costs a copy
// of its bytes and no encoding.
func (d *Document) AppendJSON(dst []byte) ([]byte, error) {
	if d.stored == nil {
		b, err := json.Marshal(d.object)
		if err != nil {
			return dst, fmt.Errorf("encoding %T: %w", d.object, err)
		}
		return append(dst, b...), nil
	}
	at := metadataStart(d.kind)
	dst = append(dst, d.stored[:at]...)
	dst = append(dst, `"resourceVersion":"`...)
	dst = strconv.AppendUint(dst, d.revision, 10)
	dst = append(dst, `",`...)
	return append(dst, d.stored[at:]...), nil
}

// JSON returns the object as JSON.
func (d *Document) JSON() ([]byte, error) {
	return d.AppendJSON(make([]byte, 0, len(d.stored)+40))
}

// Labels of the object, read without decoding it.
func (d *Document) Labels() (labels.Set, error) {
	d.labelsOnce.Do(func() {
		if d.stored == nil {
			d.labels = metaOf(d.object).GetLabels()
			return
		}
		value, found := metadataField(d.kind, d.stored, "labels")
		if !found {
			return
		}
		var err error
		if d.labels, err = parseStrings(value); err != nil {
			d.labelsErr = damaged(d.key, err)
		}
	})
	return d.labels, d.labelsErr
}

// Fields of the object that field selectors may name.
func (d *Document) Fields() (fields.Set, error) {
	d.fieldsOnce.Do(func() {
		namespace, name := splitKey(d.key)
		set := fields.Set{}
		if d.kind.Fields != nil {
			obj, err := d.Object()
			if err != nil {
				d.fieldsErr = err
				return
			}
			if kindSet := d.kind.Fields(obj); kindSet != nil {
				set = kindSet
			}
		}
		set[fieldName] = name
		if d.kind.Namespaced {
			set[fieldNamespace] = namespace
		}
		d.fields = set
	})
	return d.fields, d.fieldsErr
}
