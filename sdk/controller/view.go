package controller

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// View is what a controller knows: every watched object as it was at one
// revision, and how the key fared before. Read objects with Get, List, Owned
// and ByIndex, or by kind with Of. It is valid during the call that it was
// given to.
type View struct {
	cache    *cache
	now      time.Time
	attempt  int
	failures []Failure
}

// Failure is an action of the key's last decision that the API refused.
type Failure struct {
	// Code and Reason are the API's: 403 "Forbidden".
	Code            int
	Reason, Message string
	// Name of the object that the action was about, where it had one.
	Name string
}

// Now is the time to decide by.
func (v View) Now() time.Time { return v.now }

// Revision of the store that the view shows.
func (v View) Revision() uint64 { return v.cache.revision }

// Attempt is how often the key failed in a row before.
func (v View) Attempt() int { return v.attempt }

// Failures are what the API refused of the key's last decision; none where all
// of it was applied.
func (v View) Failures() []Failure { return v.failures }

// Get returns an object by name; namespace is empty for kinds without.
func Get[T runtime.Object](v View, namespace, objectName string) (T, bool) {
	obj, ok := of[T](v).Get(namespace, objectName)
	if !ok {
		var none T
		return none, false
	}
	return obj.(T), true
}

// List returns the objects of a namespace (of all where it is empty) that a
// selector matches, nil for all, ordered by namespace and name.
func List[T runtime.Object](v View, namespace string, selector labels.Selector) []T {
	return typed[T](of[T](v).list(namespace, selector))
}

// Owned returns the objects that name the uid as an owner, controlling or not,
// ordered by namespace and name.
func Owned[T runtime.Object](v View, owner types.UID) []T {
	return typed[T](sorted(of[T](v).kind.byOwner[owner]))
}

// ByIndex returns the objects to which the named index of Watch.Indexes gave
// the value, ordered by namespace and name.
func ByIndex[T runtime.Object](v View, index, value string) []T {
	k := of[T](v).kind
	values, ok := k.byIndex[index]
	if !ok {
		panic(fmt.Sprintf("no watch of %T has an index %q", *new(T), index))
	}
	return typed[T](sorted(values[value]))
}

// of returns the objects of the kind with a Go type of its own. Asking for a
// type that is not watched is a bug of the controller and panics.
func of[T runtime.Object](v View) Objects {
	t := reflect.TypeFor[T]()
	kind, ok := v.cache.plan.byType[t]
	if !ok {
		panic(fmt.Sprintf("%s is not watched, or is the type of several kinds: use View.Of", t))
	}
	return v.Of(kind)
}

// Kinds lists the watched kinds.
func (v View) Kinds() []schema.GroupVersionKind {
	kinds := slices.Clone(v.cache.plan.kinds)
	slices.SortFunc(kinds, func(a, b schema.GroupVersionKind) int { return cmp.Compare(a.String(), b.String()) })
	return slices.Compact(kinds)
}

// Watched tells whether a kind is watched.
func (v View) Watched(kind schema.GroupVersionKind) bool { return v.cache.kinds[kind] != nil }

// Of returns the objects of a kind whatever their Go type. Asking for a kind
// that is not watched is a bug of the controller and panics.
func (v View) Of(kind schema.GroupVersionKind) Objects {
	k := v.cache.kinds[kind]
	if k == nil {
		panic(fmt.Sprintf("%s is not watched", kind))
	}
	return Objects{k}
}

// Objects are those of one kind in a view.
type Objects struct{ kind *kindCache }

// Get returns an object by name.
func (o Objects) Get(namespace, objectName string) (runtime.Object, bool) {
	e := o.kind.objects[name{namespace, objectName}]
	if e == nil {
		return nil, false
	}
	return e.object, true
}

// ByUID returns an object by its uid.
func (o Objects) ByUID(uid types.UID) (runtime.Object, bool) {
	e := o.kind.byUID[uid]
	if e == nil {
		return nil, false
	}
	return e.object, true
}

// Seen returns when the object's present state arrived, by the clock of this
// process. It is the measure of silence that no foreign clock distorts.
func (o Objects) Seen(namespace, objectName string) (time.Time, bool) {
	e := o.kind.objects[name{namespace, objectName}]
	if e == nil {
		return time.Time{}, false
	}
	return e.seen, true
}

// Len is the number of objects in a namespace, or of all where it is empty.
func (o Objects) Len(namespace string) int {
	if namespace == "" {
		return len(o.kind.objects)
	}
	return len(o.kind.byNamespace[namespace])
}

// List returns the objects of a namespace, or of all where it is empty, ordered
// by namespace and name.
func (o Objects) List(namespace string) []metav1.Object {
	return metas(o.list(namespace, nil))
}

// Owned returns the objects that name the uid as an owner.
func (o Objects) Owned(owner types.UID) []metav1.Object {
	return metas(sorted(o.kind.byOwner[owner]))
}

func (o Objects) list(namespace string, selector labels.Selector) []*entry {
	var found []*entry
	take := func(e *entry) {
		if selector == nil || selector.Empty() || selector.Matches(labels.Set(e.meta.GetLabels())) {
			found = append(found, e)
		}
	}
	if namespace == "" {
		for _, e := range o.kind.objects {
			take(e)
		}
	} else {
		for e := range o.kind.byNamespace[namespace] {
			take(e)
		}
	}
	order(found)
	return found
}

func sorted(set entries) []*entry {
	list := make([]*entry, 0, len(set))
	for e := range set {
		list = append(list, e)
	}
	order(list)
	return list
}

func order(list []*entry) {
	slices.SortFunc(list, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name.name, b.name.name))
	})
}

func typed[T runtime.Object](list []*entry) []T {
	objects := make([]T, len(list))
	for i, e := range list {
		objects[i] = e.object.(T)
	}
	return objects
}

func metas(list []*entry) []metav1.Object {
	objects := make([]metav1.Object, len(list))
	for i, e := range list {
		objects[i] = e.meta
	}
	return objects
}
