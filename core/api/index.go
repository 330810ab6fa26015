package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/registry"
	"github.com/pintle-io/pintle/core/store"
	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
)

const (
	// indexPatience is how long a question waits for the index to have seen what
	// was written before it was asked.
	indexPatience = 5 * time.Second
	indexBackoff  = 200 * time.Millisecond
)

// index answers the built-in authorizer's questions: what the pods of a node
// refer to, and what plugins were granted. It is kept by one goroutine, which
// follows the store from the first question until close, and holds one line
// per bound pod and plugin.
type index struct {
	service *Service
	begin   sync.Once
	ctx     context.Context
	cancel  context.CancelFunc
	done    chan struct{}

	pods, plugins *registry.Kind

	mu sync.Mutex
	// seen is the revision that the index reflects; moved is closed when it
	// moves on.
	seen  uint64
	moved chan struct{}
	// bound are the pods that have a node, by key.
	bound map[string]boundPod
	// needs counts what the pods of a node refer to.
	needs map[string]map[string]int
	// rules are those of plugins, by type and name; grants finds them by key.
	rules  map[string][]auth.Rule
	grants map[string]string
}

type boundPod struct {
	node string
	refs []string
}

func newIndex(s *Service) *index {
	ctx, cancel := context.WithCancel(context.Background())
	x := &index{service: s, ctx: ctx, cancel: cancel, done: make(chan struct{}), moved: make(chan struct{})}
	x.pods, _ = s.kinds.ByResource(podResource)
	x.plugins, _ = s.kinds.ByResource(schema.GroupResource{Group: pintlev1.GroupVersion.Group, Resource: "plugins"})
	x.reset()
	return x
}

func (x *index) close() {
	x.cancel()
	x.begin.Do(func() { close(x.done) })
	<-x.done
}

// NodeNeeds implements auth.Directory.
func (x *index) NodeNeeds(ctx context.Context, node, resource, namespace, name string) (bool, error) {
	ref := reference(resource, namespace, name)
	return x.ask(ctx, func() bool { return x.needs[node][ref] > 0 })
}

// PluginAllows implements auth.Directory.
func (x *index) PluginAllows(ctx context.Context, pluginType, name string, a auth.Attributes) (bool, error) {
	id := pluginType + "/" + name
	return x.ask(ctx, func() bool {
		for _, rule := range x.rules[id] {
			if rule.Allows(a) {
				return true
			}
		}
		return false
	})
}

// ask answers at once where the answer is yes. A no is given only by an index
// that has seen everything written before the question.
func (x *index) ask(ctx context.Context, yes func() bool) (bool, error) {
	x.begin.Do(func() { go x.run() })
	x.mu.Lock()
	answer := yes()
	x.mu.Unlock()
	if answer {
		return true, nil
	}
	newest, err := x.service.store.Revision(ctx)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, indexPatience)
	defer cancel()
	for {
		x.mu.Lock()
		answer, seen, moved := yes(), x.seen, x.moved
		x.mu.Unlock()
		if answer || seen >= newest {
			return answer, nil
		}
		select {
		case <-moved:
		case <-x.done:
			return false, store.ErrClosed
		case <-ctx.Done():
			return false, fmt.Errorf("waiting for the authorizer to see revision %d (it is at %d): %w", newest, seen, ctx.Err())
		}
	}
}

func (x *index) run() {
	defer close(x.done)
	for {
		err := x.follow()
		switch {
		case x.ctx.Err() != nil, errors.Is(err, store.ErrClosed):
			return
		}
		x.service.log.Warn("the authorizer's index starts anew", "error", err)
		select {
		case <-x.ctx.Done():
			return
		case <-time.After(indexBackoff):
		}
	}
}

// follow reads everything and then every change.
func (x *index) follow() error {
	snapshot := uint64(0)
	x.mu.Lock()
	x.reset()
	x.mu.Unlock()
	for _, k := range []*registry.Kind{x.pods, x.plugins} {
		if k == nil {
			continue
		}
		req := store.ListRequest{Prefix: kindPrefix(k), Limit: scanPage, Revision: snapshot}
		for {
			page, err := x.service.store.List(x.ctx, req)
			if err != nil {
				return err
			}
			snapshot, req.Revision = page.Revision, page.Revision
			for _, e := range page.Entries {
				x.update(k, e.Key, entryDocument(k, e))
			}
			if !page.More || len(page.Entries) == 0 {
				break
			}
			req.After = page.Entries[len(page.Entries)-1].Key
		}
	}
	watcher, err := x.service.store.Watch(x.ctx, store.WatchRequest{After: snapshot})
	if err != nil {
		return err
	}
	defer watcher.Stop()
	x.advance(snapshot)
	for batch := range watcher.Events() {
		for _, raw := range batch {
			k := x.kindOf(raw.Key)
			if k == nil {
				continue
			}
			after, _, err := states(k, raw, x.service.cache)
			if err != nil {
				return err
			}
			x.update(k, raw.Key, after)
		}
		x.advance(batch[len(batch)-1].Revision)
	}
	return watcher.Err()
}

func (x *index) kindOf(key string) *registry.Kind {
	for _, k := range []*registry.Kind{x.pods, x.plugins} {
		if k != nil && strings.HasPrefix(key, kindPrefix(k)) {
			return k
		}
	}
	return nil
}

func (x *index) reset() {
	x.seen = 0
	x.bound = map[string]boundPod{}
	x.needs = map[string]map[string]int{}
	x.rules = map[string][]auth.Rule{}
	x.grants = map[string]string{}
}

func (x *index) advance(rev uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.seen = rev
	close(x.moved)
	x.moved = make(chan struct{})
}

// update takes in a changed object; doc is nil where it is gone.
func (x *index) update(k *registry.Kind, key string, doc *Document) {
	var err error
	if k == x.pods {
		err = x.updatePod(key, doc)
	} else {
		err = x.updatePlugin(key, doc)
	}
	if err != nil {
		x.service.log.Error("the authorizer can't read an object and treats it as absent", "key", key, "error", err)
	}
}

var boundMark = []byte(`"nodeName":"`)

func (x *index) updatePod(key string, doc *Document) error {
	x.mu.Lock()
	_, known := x.bound[key]
	x.mu.Unlock()
	if doc == nil {
		x.dropPod(key)
		return nil
	}
	// What a bound pod refers to does not change, and an unbound one is not
	// worth decoding.
	if known || !bytes.Contains(doc.stored, boundMark) {
		return nil
	}
	obj, err := doc.Object()
	if err != nil {
		return err
	}
	pod := obj.(*corev1.Pod)
	if pod.Spec.NodeName == "" {
		return nil
	}
	refs := []string{reference("pods", pod.Namespace, pod.Name)}
	references(pod, func(resource, name string) bool {
		refs = append(refs, reference(resource, pod.Namespace, name))
		return true
	})
	x.mu.Lock()
	defer x.mu.Unlock()
	x.bound[key] = boundPod{node: pod.Spec.NodeName, refs: refs}
	count := x.needs[pod.Spec.NodeName]
	if count == nil {
		count = map[string]int{}
		x.needs[pod.Spec.NodeName] = count
	}
	for _, ref := range refs {
		count[ref]++
	}
	return nil
}

func (x *index) dropPod(key string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	pod, ok := x.bound[key]
	if !ok {
		return
	}
	delete(x.bound, key)
	count := x.needs[pod.node]
	for _, ref := range pod.refs {
		if count[ref]--; count[ref] == 0 {
			delete(count, ref)
		}
	}
	if len(count) == 0 {
		delete(x.needs, pod.node)
	}
}

func (x *index) updatePlugin(key string, doc *Document) error {
	x.mu.Lock()
	delete(x.rules, x.grants[key])
	delete(x.grants, key)
	x.mu.Unlock()
	if doc == nil {
		return nil
	}
	obj, err := doc.Object()
	if err != nil {
		return err
	}
	plugin := obj.(*pintlev1.Plugin)
	name := plugin.Spec.Name
	if name == "" {
		name = plugin.Name
	}
	granted := plugin.Spec.Permissions
	if granted == nil {
		granted = plugin.Status.Declared
	}
	rules := make([]auth.Rule, len(granted))
	for i, p := range granted {
		rules[i] = auth.Rule{Group: p.APIGroup, Resources: p.Resources, Verbs: p.Verbs}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	id := string(plugin.Spec.Type) + "/" + name
	x.rules[id], x.grants[key] = rules, id
	return nil
}

func reference(resource, namespace, name string) string {
	return resource + "/" + namespace + "/" + name
}
