package api

import (
	"context"
	"log/slog"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/core/store"
)

// Target names what a request is about: an object, or with an empty Name the
// collection, and maybe a subresource. The version is the kind's served one.
// An empty Namespace of a namespaced kind means all namespaces.
type Target struct {
	Resource    schema.GroupResource
	Namespace   string
	Name        string
	Subresource string
}

// Options of New.
type Options struct {
	Store store.Store
	Kinds *registry.Registry
	// Authorizer decides who may do what; the built-in one by default.
	Authorizer auth.Authorizer
	// Admission is asked after the built-in admitters, in order.
	Admission []Admitter
	// MaxObjectSize is the largest stored form in bytes; 1.5 MiB by default.
	MaxObjectSize int
	Logger        *slog.Logger
	Clock         clock.PassiveClock
}

// Service serves the API's verbs over a store. It is safe for concurrent use.
type Service struct {
	store      store.Store
	kinds      *registry.Registry
	authorizer auth.Authorizer
	admission  []Admitter
	maxSize    int
	log        *slog.Logger
	clock      clock.PassiveClock
	index      *index
	gates      *gates
	cache      *objectCache
	plain      map[*registry.Kind]map[string]bool
	apply      applyManagers
}

const defaultMaxObjectSize = 3 << 19

// New makes a Service. Close stops what it runs.
func New(opts Options) *Service {
	s := &Service{
		store:      opts.Store,
		kinds:      opts.Kinds,
		authorizer: opts.Authorizer,
		maxSize:    opts.MaxObjectSize,
		log:        opts.Logger,
		clock:      opts.Clock,
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.clock == nil {
		s.clock = clock.RealClock{}
	}
	if s.maxSize == 0 {
		s.maxSize = defaultMaxObjectSize
	}
	s.plain = make(map[*registry.Kind]map[string]bool, len(s.kinds.Kinds()))
	for _, k := range s.kinds.Kinds() {
		s.plain[k] = plainFields(k)
	}
	s.gates, s.cache = newGates(), newObjectCache()
	s.index = newIndex(s)
	if s.authorizer == nil {
		s.authorizer = auth.NewAuthorizer(s.index)
	}
	s.admission = append(builtinAdmission(s), opts.Admission...)
	return s
}

// Close stops the Service's own goroutines. The store stays open.
func (s *Service) Close() { s.index.close() }

// Kinds returns the registry that the Service serves.
func (s *Service) Kinds() *registry.Registry { return s.kinds }

// Authorizer returns the authorizer in use, for requests that are about no
// object.
func (s *Service) Authorizer() auth.Authorizer { return s.authorizer }

// Revision returns the newest revision of the store.
func (s *Service) Revision(ctx context.Context) (uint64, error) {
	rev, err := s.store.Revision(ctx)
	if err != nil {
		return 0, storeError(err)
	}
	return rev, nil
}

// Get returns one object, or its scale with that subresource.
func (s *Service) Get(ctx context.Context, t Target, opts GetOptions) (runtime.Object, error) {
	return object(s.GetDocument(ctx, t, opts))
}

// List returns the objects of a collection, decoded. The caller owns them.
func (s *Service) List(ctx context.Context, t Target, opts ListOptions) (*List, error) {
	docs, err := s.ListDocuments(ctx, t, opts)
	if err != nil {
		return nil, err
	}
	list := &List{Revision: docs.Revision, Continue: docs.Continue, Remaining: docs.Remaining}
	list.Items = make([]runtime.Object, len(docs.Items))
	for i := range docs.Items {
		if list.Items[i], err = docs.Items[i].Object(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Create stores a new object and returns it as it is. The Service takes
// the object over. Subresources: binding and eviction of pods.
func (s *Service) Create(ctx context.Context, t Target, obj runtime.Object, opts CreateOptions) (runtime.Object, error) {
	return object(s.CreateDocument(ctx, t, obj, opts))
}

// Update replaces an object, or its status or scale. The Service takes the
// object over.
func (s *Service) Update(ctx context.Context, t Target, obj runtime.Object, opts UpdateOptions) (runtime.Object, error) {
	doc, _, err := s.UpdateDocument(ctx, t, obj, opts)
	return object(doc, err)
}

// Patch changes an object, its status or scale. created is true where an apply
// patch made the object.
func (s *Service) Patch(ctx context.Context, t Target, pt PatchType, patch []byte, opts PatchOptions) (obj runtime.Object, created bool, err error) {
	doc, created, err := s.PatchDocument(ctx, t, pt, patch, opts)
	obj, err = object(doc, err)
	return obj, created, err
}

// Delete begins or completes the deletion of an object, which is returned as
// it is afterwards; gone is true where nothing waits any more.
func (s *Service) Delete(ctx context.Context, t Target, opts DeleteOptions) (obj runtime.Object, gone bool, err error) {
	doc, gone, err := s.DeleteDocument(ctx, t, opts)
	obj, err = object(doc, err)
	return obj, gone, err
}

func object(doc *Document, err error) (runtime.Object, error) {
	if err != nil {
		return nil, err
	}
	return doc.Object()
}
