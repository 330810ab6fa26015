package main

import "sync"

// locks is a mutex for every sandbox that a call is about.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	sync.Mutex
	users int
}

// hold waits for the calls about a sandbox and returns what ends this one.
func (l *locks) hold(sandbox string) (release func()) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*lock{}
	}
	k := l.held[sandbox]
	if k == nil {
		k = &lock{}
		l.held[sandbox] = k
	}
	k.users++
	l.mu.Unlock()
	k.Lock()
	return func() {
		k.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.users--; k.users == 0 {
			delete(l.held, sandbox)
		}
	}
}
