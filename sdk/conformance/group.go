package conformance

import "sync"

// callGroup makes calls at the same time and keeps the first error.
type callGroup struct {
	calls sync.WaitGroup
	once  sync.Once
	err   error
}

func (g *callGroup) Go(call func() error) {
	g.calls.Go(func() {
		if err := call(); err != nil {
			g.once.Do(func() { g.err = err })
		}
	})
}

func (g *callGroup) Wait() error {
	g.calls.Wait()
	return g.err
}
