package registry

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// fieldTable says of every field of an API type whether this server honours
// it. A field in neither list fails a test, so that a new version of the API
// can't bring one that is dropped in silence.
type fieldTable[T any] struct {
	// served fields by their JSON names.
	served   []string
	unserved []unservedField[T]
}

// unservedField is a field, or some of its values, that is not honoured.
type unservedField[T any] struct {
	name string
	// asked tells whether the object asks for what is not there.
	asked func(*T) bool
	// refuse is true where leaving it out would give the client something else
	// than what it asked for; else it is warned.
	refuse bool
	// why says what is not there, and what happens instead.
	why string
}

// unservedReport collects what was found in an object.
type unservedReport struct {
	refused  field.ErrorList
	warnings []string
}

func (r *unservedReport) add(refuse bool, path *field.Path, why string) {
	if refuse {
		r.refused = append(r.refused, field.Forbidden(path, why))
	} else {
		r.warnings = append(r.warnings, fmt.Sprintf("%s: %s", path, why))
	}
}

// check reports what obj asks for and old, which may be nil, did not.
func (t fieldTable[T]) check(r *unservedReport, obj, old *T, path *field.Path) {
	if obj == nil {
		return
	}
	for _, f := range t.unserved {
		if f.asked(obj) && (old == nil || !f.asked(old)) {
			r.add(f.refuse, path.Child(f.name), f.why)
		}
	}
}

// isTrue and isFalse read optional switches.
func isTrue(b *bool) bool  { return b != nil && *b }
func isFalse(b *bool) bool { return b != nil && !*b }
