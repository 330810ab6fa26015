package controller

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"google.golang.org/protobuf/types/known/durationpb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// plan is a checked Spec.
type plan struct {
	spec    Spec
	types   *runtime.Scheme
	kinds   []schema.GroupVersionKind // of each watch
	keys    []schema.GroupVersionKind
	byType  map[reflect.Type]schema.GroupVersionKind
	indexes map[schema.GroupVersionKind]map[string]func(runtime.Object) []string
	mapper  Mapper
}

func compile(spec Spec, impl any) (*plan, error) {
	types, err := newTypes()
	if err != nil {
		return nil, err
	}
	p := &plan{
		spec:    spec,
		types:   types,
		byType:  map[reflect.Type]schema.GroupVersionKind{},
		indexes: map[schema.GroupVersionKind]map[string]func(runtime.Object) []string{},
	}
	p.mapper, _ = impl.(Mapper)
	goTypes := map[schema.GroupVersionKind]reflect.Type{}
	for i, w := range spec.Watches {
		kind, err := p.add(w)
		if err != nil {
			return nil, fmt.Errorf("watch %d: %w", i, err)
		}
		if t, ok := goTypes[kind]; ok && t != reflect.TypeOf(w.Object) {
			return nil, fmt.Errorf("watch %d: %s is watched as %T and as %s", i, kind.Kind, w.Object, t)
		}
		goTypes[kind] = reflect.TypeOf(w.Object)
	}
	for _, kind := range spec.Keys {
		if !slices.Contains(p.keys, kind) {
			p.keys = append(p.keys, kind)
		}
	}
	if len(p.keys) == 0 {
		return nil, errors.New("no watch has the trigger Self and Keys is empty: the controller would have no keys")
	}
	return p, nil
}

func (p *plan) add(w Watch) (schema.GroupVersionKind, error) {
	if w.Object == nil {
		return schema.GroupVersionKind{}, errors.New("Object is not set")
	}
	if w.Trigger == Mapped && p.mapper == nil {
		return schema.GroupVersionKind{}, errors.New("the trigger is Mapped, but the controller has no method Map")
	}
	kind := w.Kind
	if kind.Empty() {
		var err error
		if kind, err = kindOf(p.types, w.Object); err != nil {
			return kind, err
		}
	}
	p.kinds = append(p.kinds, kind)
	if w.Trigger == Self && !slices.Contains(p.keys, kind) {
		p.keys = append(p.keys, kind)
	}
	if !sharedType(w.Object) {
		p.byType[reflect.TypeOf(w.Object)] = kind
	}
	for name, index := range w.Indexes {
		if p.indexes[kind] == nil {
			p.indexes[kind] = map[string]func(runtime.Object) []string{}
		}
		p.indexes[kind][name] = index
	}
	return kind, nil
}

// sharedType tells whether objects of several kinds have the Go type.
func sharedType(obj runtime.Object) bool {
	switch obj.(type) {
	case *metav1.PartialObjectMetadata, runtime.Unstructured:
		return true
	}
	return false
}

// describe returns the loop as the contract has it.
func (p *plan) describe() *pluginv1.LoopSpec {
	loop := &pluginv1.LoopSpec{
		KeyKind:     kindToWire(p.keys[0]),
		Encodings:   []pluginv1.Encoding{pluginv1.Encoding_ENCODING_KUBERNETES_PROTOBUF, pluginv1.Encoding_ENCODING_JSON},
		MaxInFlight: uint32(max(p.spec.MaxInFlight, 1)),
	}
	for _, kind := range p.keys[1:] {
		loop.MoreKeyKinds = append(loop.MoreKeyKinds, kindToWire(kind))
	}
	if p.spec.Resync > 0 {
		loop.Resync = durationpb.New(p.spec.Resync)
	}
	fields := p.fields()
	for i, w := range p.spec.Watches {
		loop.Watches = append(loop.Watches, &pluginv1.Watch{
			Kind:          kindToWire(p.kinds[i]),
			LabelSelector: w.LabelSelector,
			FieldSelector: w.FieldSelector,
			Fields:        fields[p.kinds[i]],
			Trigger:       w.Trigger.wire(),
		})
	}
	return loop
}

// fields returns what is wanted of each kind by all of its watches together,
// since the view holds an object once.
func (p *plan) fields() map[schema.GroupVersionKind][]string {
	fields := map[schema.GroupVersionKind][]string{}
	whole := map[schema.GroupVersionKind]bool{}
	for i, w := range p.spec.Watches {
		kind := p.kinds[i]
		want := w.Fields
		if _, ok := w.Object.(*metav1.PartialObjectMetadata); ok {
			want = []string{"metadata"}
		}
		whole[kind] = whole[kind] || len(want) == 0
		fields[kind] = append(fields[kind], want...)
	}
	for kind := range fields {
		if whole[kind] {
			fields[kind] = nil
			continue
		}
		slices.Sort(fields[kind])
		fields[kind] = slices.Compact(fields[kind])
	}
	return fields
}

// newObject makes an empty object for a watch.
func (p *plan) newObject(watch int) runtime.Object {
	return reflect.New(reflect.TypeOf(p.spec.Watches[watch].Object).Elem()).Interface().(runtime.Object)
}

func kindToWire(kind schema.GroupVersionKind) *pluginv1.GroupVersionKind {
	return &pluginv1.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind}
}
