package loop

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/registry"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// maxWatches bounds what a loop may ask for.
const maxWatches = 64

// spec is a checked LoopSpec.
type spec struct {
	encoding    pluginv1.Encoding
	maxInFlight int
	resync      time.Duration
	keyKinds    []*registry.Kind
	watches     []*watchSpec
	// kinds are those watched, each once; byKind lists the watches of each.
	kinds  []*registry.Kind
	byKind [][]int
}

// watchSpec is one checked Watch.
type watchSpec struct {
	kind    *registry.Kind
	trigger pluginv1.Trigger
	labels  labels.Selector
	fields  fields.Selector
	narrow  *narrower
}

func (r *Runner) compile(l *pluginv1.LoopSpec) (*spec, error) {
	if l == nil {
		return nil, errors.New("it describes no loop")
	}
	s := &spec{
		encoding:    pluginv1.Encoding_ENCODING_JSON,
		maxInFlight: min(max(int(l.GetMaxInFlight()), 1), r.opts.MaxInFlight),
		resync:      l.GetResync().AsDuration(),
	}
	for _, e := range l.GetEncodings() {
		if e == pluginv1.Encoding_ENCODING_JSON || e == pluginv1.Encoding_ENCODING_KUBERNETES_PROTOBUF {
			s.encoding = e
			break
		}
	}
	for _, gvk := range append([]*pluginv1.GroupVersionKind{l.GetKeyKind()}, l.GetMoreKeyKinds()...) {
		kind, err := r.kind(gvk)
		if err != nil {
			return nil, fmt.Errorf("key kind: %w", err)
		}
		s.keyKinds = append(s.keyKinds, kind)
	}
	if n := len(l.GetWatches()); n == 0 || n > maxWatches {
		return nil, fmt.Errorf("it has %d watches: 1 to %d are possible", n, maxWatches)
	}
	for i, w := range l.GetWatches() {
		if err := s.addWatch(r, w); err != nil {
			return nil, fmt.Errorf("watch %d: %w", i, err)
		}
	}
	return s, nil
}

func (s *spec) addWatch(r *Runner, w *pluginv1.Watch) error {
	kind, err := r.kind(w.GetKind())
	if err != nil {
		return err
	}
	ws := &watchSpec{kind: kind, trigger: w.GetTrigger()}
	if ws.labels, err = labels.Parse(w.GetLabelSelector()); err != nil {
		return fmt.Errorf("label selector %q: %w", w.GetLabelSelector(), err)
	}
	if ws.fields, err = fields.ParseSelector(w.GetFieldSelector()); err != nil {
		return fmt.Errorf("field selector %q: %w", w.GetFieldSelector(), err)
	}
	for _, req := range ws.fields.Requirements() {
		if req.Field != "metadata.name" && req.Field != "metadata.namespace" && !slices.Contains(kind.FieldNames, req.Field) {
			return fmt.Errorf("field selector %q: %s has no field label %q", w.GetFieldSelector(), kind.GVK.Kind, req.Field)
		}
	}
	switch w.GetTrigger() {
	case pluginv1.Trigger_TRIGGER_NONE, pluginv1.Trigger_TRIGGER_OWNER, pluginv1.Trigger_TRIGGER_MAPPED:
	case pluginv1.Trigger_TRIGGER_SELF:
		if !slices.Contains(s.keyKinds, kind) {
			return fmt.Errorf("%s triggers itself but is no key kind", kind.GVK.Kind)
		}
	default:
		return fmt.Errorf("trigger %s is not known: this core is older than the plugin's SDK", w.GetTrigger())
	}
	if ws.narrow, err = newNarrower(kind, w.GetFields()); err != nil {
		return err
	}
	index := len(s.watches)
	s.watches = append(s.watches, ws)
	k := slices.Index(s.kinds, kind)
	if k < 0 {
		k = len(s.kinds)
		s.kinds = append(s.kinds, kind)
		s.byKind = append(s.byKind, nil)
	}
	s.byKind[k] = append(s.byKind[k], index)
	return nil
}

func (s *spec) watchesKind(kind *registry.Kind) bool { return slices.Contains(s.kinds, kind) }

func (r *Runner) kind(w *pluginv1.GroupVersionKind) (*registry.Kind, error) {
	gvk := schema.GroupVersionKind{Group: w.GetGroup(), Version: w.GetVersion(), Kind: w.GetKind()}
	kind, ok := r.opts.Kinds.ByKind(gvk)
	if !ok {
		return nil, fmt.Errorf("kind %s of %s is not served", gvk.Kind, gvk.GroupVersion())
	}
	return kind, nil
}

// selects tells whether the watch is for an object.
func (w *watchSpec) selects(obj runtime.Object, m metav1.Object) bool {
	if !w.labels.Empty() && !w.labels.Matches(labels.Set(m.GetLabels())) {
		return false
	}
	if w.fields.Empty() {
		return true
	}
	set := fields.Set{}
	if w.kind.Fields != nil {
		set = w.kind.Fields(obj)
	}
	return w.fields.Matches(fieldsOf{set, m})
}

// fieldsOf adds the fields that every kind has.
type fieldsOf struct {
	fields.Set
	meta metav1.Object
}

func (f fieldsOf) Has(field string) bool {
	return field == "metadata.name" || field == "metadata.namespace" || f.Set.Has(field)
}

func (f fieldsOf) Get(field string) string {
	switch field {
	case "metadata.name":
		return f.meta.GetName()
	case "metadata.namespace":
		return f.meta.GetNamespace()
	}
	return f.Set.Get(field)
}

// owner returns the key of an object's controlling owner.
func (s *spec) owner(m metav1.Object) (Key, bool) {
	ref := metav1.GetControllerOfNoCopy(m)
	if ref == nil {
		return Key{}, false
	}
	group, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return Key{}, false
	}
	for _, kind := range s.keyKinds {
		if kind.GVK.Kind == ref.Kind && kind.GVK.Group == group.Group {
			key := Key{Kind: kind.GVK.GroupKind(), Name: ref.Name}
			if kind.Namespaced {
				key.Namespace = m.GetNamespace()
			}
			return key, true
		}
	}
	return Key{}, false
}

func metaOf(obj runtime.Object) (metav1.Object, error) { return meta.Accessor(obj) }
