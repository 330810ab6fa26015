package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
)

// World is a cluster in small: it shows a loop its objects and applies what the
// loop decides, as the core would, but without defaults, validation or
// permissions.
type World struct {
	types    *runtime.Scheme
	spec     *pluginv1.LoopSpec
	revision uint64
	objects  map[objectKey]*unstructured.Unstructured
	// changed since the loop was last shown the world.
	changed map[objectKey]bool
	// shown is what each watch was shown.
	shown map[shownKey]bool
}

type objectKey struct {
	kind            schema.GroupVersionKind
	namespace, name string
}

type shownKey struct {
	watch int
	objectKey
}

func newWorld(spec *pluginv1.LoopSpec) (*World, error) {
	w := &World{
		types: runtime.NewScheme(), spec: spec, revision: 1,
		objects: map[objectKey]*unstructured.Unstructured{}, changed: map[objectKey]bool{}, shown: map[shownKey]bool{},
	}
	builder := runtime.NewSchemeBuilder(corev1.AddToScheme, appsv1.AddToScheme, coordinationv1.AddToScheme, discoveryv1.AddToScheme)
	return w, builder.AddToScheme(w.types)
}

// Put sets an object, made or changed by somebody else.
func (w *World) Put(obj runtime.Object) error {
	kinds, _, err := w.types.ObjectKinds(obj)
	if err != nil {
		return err
	}
	data, err := json.Marshal(obj)
	if err != nil {
		return err
	}
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(data, &u.Object); err != nil {
		return err
	}
	u.SetGroupVersionKind(kinds[0])
	w.set(u)
	return nil
}

// List returns the objects of a kind by namespace and name, as they are.
func (w *World) List(kind schema.GroupVersionKind) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, k := range w.keys() {
		if k.kind == kind {
			out = append(out, w.objects[k])
		}
	}
	return out
}

func (w *World) keys() []objectKey {
	return slices.SortedFunc(maps.Keys(w.objects), func(a, b objectKey) int {
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
}

func (w *World) set(u *unstructured.Unstructured) {
	k := objectKey{u.GroupVersionKind(), u.GetNamespace(), u.GetName()}
	if old := w.objects[k]; old != nil {
		u.SetUID(old.GetUID())
	}
	w.revision++
	if u.GetUID() == "" {
		u.SetUID(types.UID(fmt.Sprintf("uid-%d", w.revision)))
	}
	u.SetResourceVersion(fmt.Sprint(w.revision))
	w.objects[k] = u
	w.changed[k] = true
}

// show sends what changed since the last time.
func (w *World) show(s *loopStream, encoding pluginv1.Encoding) error {
	var changes []*pluginv1.Change
	for _, k := range slices.SortedFunc(maps.Keys(w.changed), func(a, b objectKey) int {
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	}) {
		for i, watch := range w.spec.GetWatches() {
			if kindOf(watch.GetKind()) != k.kind {
				continue
			}
			change, err := w.change(i, watch, k, encoding)
			if err != nil {
				return err
			}
			if change != nil {
				changes = append(changes, change)
			}
		}
	}
	w.changed = map[objectKey]bool{}
	return s.changes(w.revision, changes...)
}

func (w *World) change(index int, watch *pluginv1.Watch, k objectKey, encoding pluginv1.Encoding) (*pluginv1.Change, error) {
	obj := w.objects[k]
	selected := false
	if obj != nil {
		var err error
		if selected, err = selects(watch, obj); err != nil {
			return nil, fmt.Errorf("watch %d: %w", index, err)
		}
	}
	sk := shownKey{index, k}
	if !selected && !w.shown[sk] {
		return nil, nil
	}
	c := &pluginv1.Change{Watch: uint32(index), Namespace: k.namespace, Name: k.name, Revision: w.revision}
	if !selected {
		delete(w.shown, sk)
		c.Type = pluginv1.Change_TYPE_DELETED
		return c, nil
	}
	w.shown[sk] = true
	c.Type = pluginv1.Change_TYPE_SET
	typed, err := w.typed(obj)
	if err != nil {
		return nil, err
	}
	c.Object, err = stream.Encode(encoding, k.kind, typed)
	return c, err
}

// typed returns the object in its Go type where it has one.
func (w *World) typed(u *unstructured.Unstructured) (runtime.Object, error) {
	obj, err := w.types.New(u.GroupVersionKind())
	if err != nil {
		return u, nil
	}
	return obj, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, obj)
}

func selects(watch *pluginv1.Watch, u *unstructured.Unstructured) (bool, error) {
	ls, err := labels.Parse(watch.GetLabelSelector())
	if err != nil {
		return false, err
	}
	fs, err := fields.ParseSelector(watch.GetFieldSelector())
	if err != nil {
		return false, err
	}
	set := fields.Set{}
	for _, r := range fs.Requirements() {
		if v, ok, _ := unstructured.NestedFieldNoCopy(u.Object, strings.Split(r.Field, ".")...); ok {
			set[r.Field] = fmt.Sprint(v)
		}
	}
	return ls.Matches(labels.Set(u.GetLabels())) && fs.Matches(set), nil
}

func kindOf(k *pluginv1.GroupVersionKind) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: k.GetGroup(), Version: k.GetVersion(), Kind: k.GetKind()}
}

// apply does what a decision wants.
func (w *World) apply(d *pluginv1.Decision) error {
	for i, action := range d.GetActions() {
		if err := w.act(action); err != nil {
			return fmt.Errorf("action %d: %w", i, err)
		}
	}
	return nil
}

func (w *World) act(action *pluginv1.Action) error {
	switch a := action.GetAction().(type) {
	case *pluginv1.Action_Create:
		return w.create(a.Create)
	case *pluginv1.Action_Update:
		return w.update(a.Update)
	case *pluginv1.Action_Patch:
		return w.patch(a.Patch)
	case *pluginv1.Action_Delete:
		return w.remove(a.Delete.GetObject())
	case *pluginv1.Action_Evict:
		return w.remove(a.Evict.GetPod())
	case *pluginv1.Action_Bind:
		pod, err := w.find(a.Bind.GetPod())
		if err != nil {
			return err
		}
		pod = pod.DeepCopy()
		if err := unstructured.SetNestedField(pod.Object, a.Bind.GetNode(), "spec", "nodeName"); err != nil {
			return err
		}
		w.set(pod)
		return nil
	case *pluginv1.Action_Event:
		if a.Event.GetReason() == "" {
			return fmt.Errorf("event %q has no reason", a.Event.GetMessage())
		}
		return nil
	}
	return fmt.Errorf("%T is no action", action.GetAction())
}

// content reads an object that came in a decision.
func (w *World) content(kind *pluginv1.GroupVersionKind, data []byte) (*unstructured.Unstructured, error) {
	gvk := kindOf(kind)
	var obj runtime.Object = &unstructured.Unstructured{}
	if typed, err := w.types.New(gvk); err == nil {
		obj = typed
	}
	if err := stream.Decode(data, obj); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: map[string]any{}}
	if err := json.Unmarshal(raw, &u.Object); err != nil {
		return nil, err
	}
	u.SetGroupVersionKind(gvk)
	return u, nil
}

func (w *World) create(c *pluginv1.Create) error {
	u, err := w.content(c.GetKind(), c.GetObject())
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if u.GetResourceVersion() != "" {
		return fmt.Errorf("create %s: a new object has resourceVersion %q", u.GetKind(), u.GetResourceVersion())
	}
	u.SetNamespace(c.GetNamespace())
	u.SetUID("")
	if u.GetName() == "" {
		if u.GetGenerateName() == "" {
			return fmt.Errorf("create %s: it has neither name nor generateName", u.GetKind())
		}
		u.SetName(fmt.Sprintf("%s%05d", u.GetGenerateName(), w.revision))
	}
	if w.objects[objectKey{u.GroupVersionKind(), u.GetNamespace(), u.GetName()}] != nil {
		return fmt.Errorf("create %s/%s: it is there already", u.GetKind(), u.GetName())
	}
	w.set(u)
	return nil
}

// find returns the object of a reference, with its preconditions checked: the
// loop has seen all, so that none can fail.
func (w *World) find(ref *pluginv1.ObjectRef) (*unstructured.Unstructured, error) {
	u := w.objects[objectKey{kindOf(ref.GetKind()), ref.GetNamespace(), ref.GetName()}]
	switch {
	case u == nil:
		return nil, fmt.Errorf("%s %s/%s is not there", ref.GetKind().GetKind(), ref.GetNamespace(), ref.GetName())
	case ref.GetUid() != "" && ref.GetUid() != string(u.GetUID()):
		return nil, fmt.Errorf("%s %s/%s has uid %s, not %s", u.GetKind(), u.GetNamespace(), u.GetName(), u.GetUID(), ref.GetUid())
	}
	return u, nil
}

func (w *World) remove(ref *pluginv1.ObjectRef) error {
	u, err := w.find(ref)
	if err != nil {
		return err
	}
	k := objectKey{u.GroupVersionKind(), u.GetNamespace(), u.GetName()}
	w.revision++
	delete(w.objects, k)
	w.changed[k] = true
	return nil
}

func (w *World) update(up *pluginv1.Update) error {
	old, err := w.find(up.GetObject())
	if err != nil {
		return err
	}
	u, err := w.content(up.GetObject().GetKind(), up.GetContent())
	if err != nil {
		return fmt.Errorf("update: %w", err)
	}
	next := old.DeepCopy()
	if up.GetSubresource() == "status" {
		next.Object["status"] = u.Object["status"]
	} else {
		status := next.Object["status"]
		next = u
		if status != nil {
			next.Object["status"] = status
		}
	}
	w.set(next)
	return nil
}

func (w *World) patch(p *pluginv1.Patch) error {
	old, err := w.find(p.GetObject())
	if err != nil {
		return err
	}
	before, err := json.Marshal(old.Object)
	if err != nil {
		return err
	}
	var after []byte
	switch p.GetType() {
	case pluginv1.Patch_TYPE_JSON:
		var patch jsonpatch.Patch
		if patch, err = jsonpatch.DecodePatch(p.GetPatch()); err == nil {
			after, err = patch.Apply(before)
		}
	case pluginv1.Patch_TYPE_MERGE:
		after, err = jsonpatch.MergePatch(before, p.GetPatch())
	case pluginv1.Patch_TYPE_STRATEGIC_MERGE:
		var typed runtime.Object
		if typed, err = w.types.New(old.GroupVersionKind()); err == nil {
			after, err = strategicpatch.StrategicMergePatch(before, p.GetPatch(), typed)
		}
	default:
		err = fmt.Errorf("this suite knows no patch of type %s", p.GetType())
	}
	if err != nil {
		return fmt.Errorf("patch %s/%s: %w", old.GetKind(), old.GetName(), err)
	}
	next := &unstructured.Unstructured{}
	if err := json.Unmarshal(after, &next.Object); err != nil {
		return err
	}
	w.set(next)
	return nil
}
