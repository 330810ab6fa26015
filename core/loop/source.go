package loop

import (
	"context"
	"fmt"
	"log/slog"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/registry"
)

// NewSource follows kinds through core/api, as the user in the context, who
// must be allowed to list and watch them.
func NewSource(service *api.Service, log *slog.Logger) Source {
	if log == nil {
		log = slog.Default()
	}
	return apiSource{service, log}
}

type apiSource struct {
	service *api.Service
	log     *slog.Logger
}

// feedBuffer is the number of batches between the watch and the session; the
// watch waits when it is full.
const feedBuffer = 16

func (s apiSource) Follow(ctx context.Context, kinds []*registry.Kind) (Feed, error) {
	ctx, cancel := context.WithCancel(ctx)
	initial, err := s.list(ctx, kinds)
	if err != nil {
		cancel()
		return nil, err
	}
	targets := make([]api.WatchTarget, len(kinds))
	for i, k := range kinds {
		targets[i].Target = api.Target{Resource: k.GroupResource()}
	}
	w, err := s.service.WatchTargets(ctx, targets, api.MultiWatchOptions{After: initial.Revision, Bookmarks: true})
	if err != nil {
		cancel()
		return nil, err
	}
	f := &apiFeed{kinds: kinds, log: s.log, batches: make(chan Batch, feedBuffer)}
	go func() {
		defer cancel()
		defer w.Stop()
		f.run(ctx, initial, w)
	}()
	return f, nil
}

// list returns all objects of the kinds from one snapshot.
func (s apiSource) list(ctx context.Context, kinds []*registry.Kind) (Batch, error) {
	batch := Batch{Synced: true}
	for i, k := range kinds {
		opts := api.ListOptions{}
		if i > 0 {
			opts.ResourceVersion = api.FormatRevision(batch.Revision)
			opts.ResourceVersionMatch = metav1.ResourceVersionMatchExact
		}
		list, err := s.service.ListDocuments(ctx, api.Target{Resource: k.GroupResource()}, opts)
		if err != nil {
			return Batch{}, fmt.Errorf("list %s: %w", k.GroupResource(), err)
		}
		if i == 0 {
			batch.Revision = list.Revision
		}
		for n := range list.Items {
			doc := &list.Items[n]
			if e, ok := decodeEvent(s.log, i, k, doc, doc.Revision()); ok {
				batch.Events = append(batch.Events, e)
			}
		}
	}
	return batch, nil
}

// decodeEvent decodes a document. One that can't be read is passed over: it must
// not stop the work on all others.
func decodeEvent(log *slog.Logger, kind int, k *registry.Kind, doc *api.Document, revision uint64) (Event, bool) {
	obj, err := doc.Object()
	if err != nil {
		log.Error("object passed over", "kind", k.GVK.Kind, "key", doc.Key(), "error", err)
		return Event{}, false
	}
	m, err := metaOf(obj)
	if err != nil {
		log.Error("object passed over", "kind", k.GVK.Kind, "key", doc.Key(), "error", err)
		return Event{}, false
	}
	return Event{Kind: kind, Namespace: m.GetNamespace(), Name: m.GetName(), Revision: revision, Object: obj}, true
}

type apiFeed struct {
	kinds   []*registry.Kind
	log     *slog.Logger
	batches chan Batch
	err     error // written before batches is closed
}

func (f *apiFeed) Batches() <-chan Batch { return f.batches }

func (f *apiFeed) Err() error { return f.err }

func (f *apiFeed) run(ctx context.Context, initial Batch, w *api.Watch) {
	defer close(f.batches)
	if !f.hand(ctx, initial) {
		return
	}
	for events := range w.Events() {
		batch := Batch{Events: make([]Event, 0, len(events))}
		for i := range events {
			e := &events[i]
			batch.Revision = max(batch.Revision, e.Revision)
			if e.Type == watch.Bookmark || e.Document == nil {
				continue
			}
			out, ok := decodeEvent(f.log, e.Target, f.kinds[e.Target], e.Document, e.Revision)
			if !ok {
				continue
			}
			out.Deleted = e.Type == watch.Deleted
			if e.Raw != nil {
				out.Derived = &e.Raw.Derived
			}
			batch.Events = append(batch.Events, out)
		}
		if !f.hand(ctx, batch) {
			return
		}
	}
	f.err = w.Err()
}

func (f *apiFeed) hand(ctx context.Context, b Batch) bool {
	select {
	case f.batches <- b:
		return true
	case <-ctx.Done():
		f.err = ctx.Err()
		return false
	}
}
