package registry

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Kind is everything that the server knows of one kind of object. Functions
// that are nil have nothing to do. All of them get objects of the type that
// New makes and must not keep them.
type Kind struct {
	GVK schema.GroupVersionKind
	// Resource is the plural in paths, Singular the word that kubectl shows.
	Resource, Singular     string
	ShortNames, Categories []string
	Namespaced             bool

	New     func() runtime.Object
	NewList func() runtime.Object

	// Default fills what the client left out. It is idempotent.
	Default func(obj runtime.Object)

	// PrepareForCreate sets what is the server's to set and clears what a
	// client may not give, such as status.
	PrepareForCreate func(ctx context.Context, obj runtime.Object)
	// PrepareForUpdate takes from old what an update of the main resource may
	// not change (status) and raises metadata.generation where the spec
	// changed.
	PrepareForUpdate func(ctx context.Context, obj, old runtime.Object)
	// PrepareForStatusUpdate takes everything but status from old.
	PrepareForStatusUpdate func(ctx context.Context, obj, old runtime.Object)

	// ValidateName checks a name, or with prefix a generateName.
	ValidateName func(name string, prefix bool) []string
	// Validate checks all but ObjectMeta, which the write path checks.
	Validate func(obj runtime.Object) field.ErrorList
	// ValidateUpdate is called after Validate with both.
	ValidateUpdate func(obj, old runtime.Object) field.ErrorList
	// ValidateStatusUpdate is called alone, without Validate.
	ValidateStatusUpdate func(obj, old runtime.Object) field.ErrorList

	// Unserved lists fields that are set and that this server can't honour:
	// refused ones are errors, the others become Warning headers. old is nil
	// on create; fields that were so already are not reported again.
	Unserved func(obj, old runtime.Object) (refused field.ErrorList, warnings []string)
	// Warnings for what is allowed but likely wrong.
	Warnings func(obj, old runtime.Object) []string

	// Claims are the names that an object as it is stored holds in the store.
	// Those of the old object that the new one lacks are to be freed.
	Claims func(obj runtime.Object) []string
	// Allocate fills fields with values unique in the store (a service address,
	// a node port, a node's pod range), choosing them through the allocator, and
	// returns the claims which the object holds afterwards. It is called after
	// Validate and ValidateUpdate, with old nil on create. When the write then
	// finds a claim taken, it is called anew with the object as it was before:
	// what the client asked for is told from what was chosen by being there. Its
	// errors are *apierrors.StatusError.
	Allocate func(ctx context.Context, a Allocator, obj, old runtime.Object) (claims []string, err error)

	// Fields for field selectors, beyond metadata.name and metadata.namespace.
	// FieldNames are all that a selector may name.
	FieldNames []string
	Fields     func(obj runtime.Object) fields.Set

	// Columns and Row make the server-side table, without the Name and Age
	// columns' values being treated specially: Row gives one cell per column.
	Columns []metav1.TableColumnDefinition
	Row     func(obj runtime.Object, now metav1.Time) []any

	// CreateOnUpdate is true where an update of an object that is not there makes
	// it; ConditionalUpdate where an update must carry a resourceVersion.
	CreateOnUpdate, ConditionalUpdate bool

	// Status is true where the kind has a status subresource.
	Status bool
	// Scale is set where it has a scale subresource.
	Scale *Scale

	// GracePeriod returns the seconds that a deletion waits for, and false
	// where the object is deleted at once. asked is the client's wish or nil.
	GracePeriod func(obj runtime.Object, asked *int64) (seconds int64, graceful bool)

	// Finalizer, when set, is put on the metadata of new objects and holds them
	// until the housekeeping loop of the kind takes it off. (A Namespace has its
	// own way, spec.finalizers, which its PrepareForCreate fills.)
	Finalizer string
}

// Scale reads and writes the replicas of a scalable kind.
type Scale struct {
	Get func(obj runtime.Object) ScaleValue
	Set func(obj runtime.Object, replicas int32)
}

// ScaleValue is what autoscaling/v1 Scale shows: the replicas wanted (its
// spec), those there are, and the selector that finds them.
type ScaleValue struct {
	Desired, Replicas, ReadyReplicas int32
	Selector                         string
}

// Allocator tells which claims are free. A claim is a name such as
// "serviceip/10.43.0.10". What it says may be out of date by the time of the
// write, which then fails and is tried again by the write path.
type Allocator interface {
	// Holder returns the key that holds a claim, "" where it is free.
	Holder(ctx context.Context, claim string) (string, error)
	// Held lists the names of held claims that begin with prefix.
	Held(ctx context.Context, prefix string) (map[string]string, error)
}
