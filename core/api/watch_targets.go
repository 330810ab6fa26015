package api

// WatchTarget is a collection, or one object, with the selectors that narrow a
// watch of it.
type WatchTarget struct {
	Target
	LabelSelector, FieldSelector string
}
