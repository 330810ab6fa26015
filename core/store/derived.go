package store

import "sync"

// Derived keeps values computed from an event, each computed once however many
// watchers ask for it. The zero value is ready.
type Derived struct {
	mu     sync.Mutex
	values map[any]*derivedValue
}

type derivedValue struct {
	once  sync.Once
	value any
	err   error
}

// Do returns the value kept under key, computing it on the first call.
func (d *Derived) Do(key any, compute func() (any, error)) (any, error) {
	d.mu.Lock()
	v := d.values[key]
	if v == nil {
		if d.values == nil {
			d.values = make(map[any]*derivedValue, 2)
		}
		v = &derivedValue{}
		d.values[key] = v
	}
	d.mu.Unlock()
	v.once.Do(func() { v.value, v.err = compute() })
	return v.value, v.err
}
