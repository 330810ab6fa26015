package api

import (
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// The options are Kubernetes' own, as they come in the query of a request.
type (
	GetOptions    = metav1.GetOptions
	ListOptions   = metav1.ListOptions
	CreateOptions = metav1.CreateOptions
	UpdateOptions = metav1.UpdateOptions
	PatchOptions  = metav1.PatchOptions
	DeleteOptions = metav1.DeleteOptions
	PatchType     = types.PatchType

	// WatchOptions: ResourceVersion "" begins with the objects as they are now
	// (as ADDED events) and goes on from there, "0" likewise, and N begins after
	// revision N. SendInitialEvents (with ResourceVersionMatch NotOlderThan and
	// AllowWatchBookmarks) adds the objects as they are and a bookmark that says
	// where they end.
	WatchOptions = metav1.ListOptions
)

// FormatRevision writes a revision as a resourceVersion.
func FormatRevision(rev uint64) string { return strconv.FormatUint(rev, 10) }

// List is one page of decoded objects from one snapshot.
type List struct {
	Items []runtime.Object
	// Revision of the snapshot: the list's resourceVersion, and what to watch
	// from.
	Revision uint64
	// Continue asks for the next page; empty on the last one.
	Continue string
	// Remaining is how many objects follow the page, where it is known.
	Remaining *int64
}

// DocumentList is one page of documents from one snapshot.
type DocumentList struct {
	Items     []Document
	Revision  uint64
	Continue  string
	Remaining *int64
}
