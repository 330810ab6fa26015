package controller

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// cache holds what the watches select, at one revision. Its user locks it.
type cache struct {
	plan     *plan
	kinds    map[schema.GroupVersionKind]*kindCache
	revision uint64
}

// name is an object's name in its namespace.
type name struct{ namespace, name string }

// entry is one object.
type entry struct {
	name
	object runtime.Object
	meta   metav1.Object
	// watches is the set of watches that select the object, a bit each.
	watches uint64
	// seen is when this state of the object arrived.
	seen time.Time
}

type entries map[*entry]struct{}

// kindCache holds the objects of one kind.
type kindCache struct {
	objects     map[name]*entry
	byNamespace map[string]entries
	byOwner     map[types.UID]entries
	byUID       map[types.UID]*entry
	indexes     map[string]func(runtime.Object) []string
	byIndex     map[string]map[string]entries
}

func newCache(p *plan) *cache {
	c := &cache{plan: p, kinds: map[schema.GroupVersionKind]*kindCache{}}
	for _, kind := range p.kinds {
		if c.kinds[kind] != nil {
			continue
		}
		k := &kindCache{
			objects:     map[name]*entry{},
			byNamespace: map[string]entries{},
			byOwner:     map[types.UID]entries{},
			byUID:       map[types.UID]*entry{},
			indexes:     p.indexes[kind],
			byIndex:     map[string]map[string]entries{},
		}
		for index := range k.indexes {
			k.byIndex[index] = map[string]entries{}
		}
		c.kinds[kind] = k
	}
	return c
}

// set puts an object in as one watch sees it and returns the one before.
func (c *cache) set(watch int, obj runtime.Object, meta metav1.Object, seen time.Time) (old runtime.Object) {
	k := c.kinds[c.plan.kinds[watch]]
	n := name{meta.GetNamespace(), meta.GetName()}
	e := k.objects[n]
	if e == nil {
		e = &entry{name: n}
		k.objects[n] = e
	} else {
		old = e.object
		k.unindex(e)
	}
	e.object, e.meta, e.seen = obj, meta, seen
	e.watches |= 1 << watch
	k.index(e)
	return old
}

// remove takes an object out of one watch and returns it.
func (c *cache) remove(watch int, n name) (old runtime.Object) {
	k := c.kinds[c.plan.kinds[watch]]
	e := k.objects[n]
	if e == nil {
		return nil
	}
	e.watches &^= 1 << watch
	if e.watches == 0 {
		k.unindex(e)
		delete(k.objects, n)
	}
	return e.object
}

func (k *kindCache) index(e *entry) {
	add(k.byNamespace, e.namespace, e)
	if uid := e.meta.GetUID(); uid != "" {
		k.byUID[uid] = e
	}
	for _, ref := range e.meta.GetOwnerReferences() {
		add(k.byOwner, ref.UID, e)
	}
	for index, values := range k.indexes {
		for _, v := range values(e.object) {
			add(k.byIndex[index], v, e)
		}
	}
}

func (k *kindCache) unindex(e *entry) {
	drop(k.byNamespace, e.namespace, e)
	if uid := e.meta.GetUID(); k.byUID[uid] == e {
		delete(k.byUID, uid)
	}
	for _, ref := range e.meta.GetOwnerReferences() {
		drop(k.byOwner, ref.UID, e)
	}
	for index, values := range k.indexes {
		for _, v := range values(e.object) {
			drop(k.byIndex[index], v, e)
		}
	}
}

func add[K comparable](m map[K]entries, key K, e *entry) {
	set := m[key]
	if set == nil {
		set = entries{}
		m[key] = set
	}
	set[e] = struct{}{}
}

func drop[K comparable](m map[K]entries, key K, e *entry) {
	set := m[key]
	delete(set, e)
	if len(set) == 0 {
		delete(m, key)
	}
}
