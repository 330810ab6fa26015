package loop

import (
	"math/rand/v2"
	"time"
)

// Backoff is how long a key that failed waits: Base, doubled with every
// failure in a row up to Max. A quarter is added or taken off at random, so
// that keys which failed together don't come together.
type Backoff struct{ Base, Max time.Duration }

// DefaultBackoff is that of Kubernetes' controllers, but for the highest
// wait, theirs being a quarter of an hour.
func DefaultBackoff() Backoff { return Backoff{Base: 5 * time.Millisecond, Max: 5 * time.Minute} }

func (b Backoff) delay(failures int) time.Duration {
	d := b.Base
	for i := 1; i < failures && d < b.Max; i++ {
		d *= 2
	}
	d = min(d, b.Max)
	return d*3/4 + rand.N(d/2+1)
}
