package loop

import "time"

// maxPerSecond is how often one key is worked on within a second. Honest work,
// such as scaling by thousands of pods, stays below; two writers that undo each
// other's changes don't.
const maxPerSecond = 200

// pace counts how often a key was worked on in the present second.
type pace struct {
	second time.Time
	count  int
}

// step counts one more. Where that is too many it returns when to go on.
func (p *pace) step(now time.Time) (until time.Time, ok bool) {
	if now.Sub(p.second) >= time.Second {
		p.second, p.count = now, 0
	}
	if p.count >= maxPerSecond {
		return p.second.Add(time.Second), false
	}
	p.count++
	return time.Time{}, true
}
