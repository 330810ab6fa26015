// Package registry holds the kinds of objects that the server knows.
//
// A Kind is one entry: its types, scope, defaulting, validation, what may
// change on update, table columns, field selectors, and which fields this
// server can't honour. The write path (core/api) and the HTTP layer
// (core/apiserver) know kinds through this package alone, so a new kind is one
// new file here and one line in Builtin.
//
// Where to look:
//
//   - kind.go says what a Kind is; registry.go finds one; scheme.go makes the
//     runtime.Scheme and the codecs from a list of kinds.
//   - builtin.go lists the kinds that every server has, with the options that
//     their allocation needs (service range, node ports, pod ranges).
//   - <kind>.go is the entry of a kind; <kind>_defaults.go, _validation.go,
//     _columns.go and _unserved.go beside it where there is more to say.
//   - podspec_*.go is what Pods share with the templates of controllers.
//
// Defaults, rules and the wording of errors are those of the Kubernetes API
// reference and its documented field semantics: a client sees the same field
// path and the same reason here as there. A field that is valid and that this
// server does not honour is listed in an unserved table, either refused or
// warned of; a test walks the Go types and fails for a field that is in no
// table, so that no field is dropped in silence.
//
// The functions of a Kind are pure: no I/O, no clock but what they are given,
// no state. Allocate alone looks outside, through the Allocator.
package registry
