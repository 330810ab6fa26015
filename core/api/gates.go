package api

import (
	"hash/maphash"
	"sync"
)

// gates keep a namespace from being marked for deletion while an object is
// on its way into it: when the mark is visible, every object that will ever be
// in the namespace is too.
type gates struct {
	seed  maphash.Seed
	locks [64]sync.RWMutex
}

func newGates() *gates { return &gates{seed: maphash.MakeSeed()} }

func (g *gates) of(namespace string) *sync.RWMutex {
	return &g.locks[maphash.String(g.seed, namespace)%uint64(len(g.locks))]
}
