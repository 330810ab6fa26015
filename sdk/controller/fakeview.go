package controller

import (
	"fmt"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
)

// ViewOf makes a view of objects as a controller with this Spec would have it,
// for tests of a Reconciler as the pure function that it is. Selectors are not
// applied. It panics where the spec is wrong or an object is not watched.
func ViewOf(spec Spec, now time.Time, objects ...runtime.Object) View {
	p, err := compile(spec, anyMapper{})
	if err != nil {
		panic(err)
	}
	c := newCache(p)
	for _, obj := range objects {
		kind, err := kindOf(p.types, obj)
		if err != nil {
			panic(err)
		}
		m, err := meta.Accessor(obj)
		if err != nil {
			panic(err)
		}
		if rev, err := strconv.ParseUint(m.GetResourceVersion(), 10, 64); err == nil {
			c.revision = max(c.revision, rev)
		}
		watched := false
		for i := range p.kinds {
			if p.kinds[i] == kind {
				c.set(i, obj, m, now)
				watched = true
			}
		}
		if !watched {
			panic(fmt.Sprintf("%s is not watched", kind))
		}
	}
	return View{cache: c, now: now}
}

// After returns the view as it is for a key whose last decision failed, the
// given number of times in a row.
func (v View) After(attempts int, failures ...Failure) View {
	v.attempt, v.failures = attempts, failures
	return v
}

// anyMapper lets specs with the trigger Mapped compile without a controller.
type anyMapper struct{ Mapper }
