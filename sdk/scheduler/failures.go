package scheduler

import (
	"maps"
	"slices"
	"strings"
)

// failures are verdicts on pods that fitted nowhere, for others just like them:
// when room comes for one of a thousand that wait, the rest are told so without
// looking at every node again. They hold until something could help.
type failures struct {
	// eased is the snapshot's as the verdicts were found.
	eased   uint64
	byShape map[string]verdict
}

// maxShapes bounds the verdicts that are kept; further ones are not.
const maxShapes = 1000

func (f *failures) find(shape string, view *Snapshot) (verdict, bool) {
	if f.eased != view.eased || shape == "" {
		return verdict{}, false
	}
	v, ok := f.byShape[shape]
	return v, ok
}

func (f *failures) keep(shape string, v verdict, view *Snapshot) {
	if f.eased != view.eased || f.byShape == nil {
		f.eased, f.byShape = view.eased, map[string]verdict{}
	}
	if shape != "" && len(f.byShape) < maxShapes {
		f.byShape[shape] = v
	}
}

// shape is the same for pods that fit on the same nodes, and "" for a pod that
// a newly placed pod could help: one that wants others beside it, or is spread.
func (p *Pod) shape() string {
	if len(p.affinity) > 0 || slices.ContainsFunc(p.spread, func(t spreadTerm) bool { return t.hard }) {
		return ""
	}
	spec, err := p.Spec.Marshal()
	if err != nil {
		return ""
	}
	var b strings.Builder
	b.WriteString(p.Namespace)
	for _, key := range slices.Sorted(maps.Keys(p.Labels)) {
		b.WriteString("\x00" + key + "=" + p.Labels[key])
	}
	b.WriteString("\x00\x00")
	b.Write(spec)
	return b.String()
}
