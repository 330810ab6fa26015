package host

import (
	"math"
	"time"
)

// Backoff says how long to wait before a plugin that failed is started again:
// Initial, doubled with every failure in a row, at most Max, each spread by up
// to a fifth either way so that plugins which failed together don't come back
// together. A process that lived for StableAfter starts the row anew.
type Backoff struct {
	Initial     time.Duration
	Max         time.Duration
	StableAfter time.Duration
}

const backoffJitter = 0.2

func (b *Backoff) setDefaults() {
	orDuration(&b.Initial, 500*time.Millisecond)
	orDuration(&b.Max, time.Minute)
	orDuration(&b.StableAfter, time.Minute)
}

// delay returns the wait after so many failures in a row. random is in [0, 1).
func (b Backoff) delay(failures int, random float64) time.Duration {
	exponent := float64(max(failures-1, 0))
	d := math.Min(float64(b.Initial)*math.Pow(2, exponent), float64(b.Max))
	d *= 1 - backoffJitter + 2*backoffJitter*random
	return time.Duration(math.Min(d, float64(b.Max)))
}
