package api

import (
	"hash/maphash"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
)

const (
	cacheShards = 16
	// cacheSize bounds the objects kept by the size of their stored form, in
	// bytes; decoded they take about three times as much.
	cacheSize = 4 << 20
	// maxCachedObject leaves out objects that would drive many others out.
	maxCachedObject = 64 << 10
)

// objectCache keeps the newest state of recently written objects decoded, so
// that the next write and the watchers need not decode it. What is in it is
// never changed. Each shard holds two generations: when the young one is full
// the old one is dropped.
type objectCache struct {
	seed   maphash.Seed
	shards [cacheShards]cacheShard
}

type cacheShard struct {
	mu         sync.Mutex
	young, old map[string]cachedObject
	size       int
}

type cachedObject struct {
	revision uint64
	object   runtime.Object
	size     int
}

func newObjectCache() *objectCache { return &objectCache{seed: maphash.MakeSeed()} }

func (c *objectCache) shard(key string) *cacheShard {
	return &c.shards[maphash.String(c.seed, key)%cacheShards]
}

// get returns the object at a revision, which must not be changed.
func (c *objectCache) get(key string, revision uint64) (runtime.Object, bool) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.young[key]
	if !ok {
		o, ok = s.old[key]
	}
	if !ok || o.revision != revision {
		return nil, false
	}
	return o.object, true
}

// put keeps an object whose stored form has size bytes. It must not be changed
// any more.
func (c *objectCache) put(key string, revision uint64, obj runtime.Object, size int) {
	if size > maxCachedObject {
		c.drop(key)
		return
	}
	kept := cachedObject{revision: revision, object: obj, size: size}
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if present, ok := s.young[key]; ok {
		if present.revision > revision {
			return
		}
		s.size -= present.size
	}
	if s.size+size > cacheSize/cacheShards/2 || s.young == nil {
		s.old, s.young, s.size = s.young, map[string]cachedObject{}, 0
	}
	s.young[key] = kept
	s.size += size
}

func (c *objectCache) drop(key string) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if present, ok := s.young[key]; ok {
		s.size -= present.size
		delete(s.young, key)
	}
	delete(s.old, key)
}
