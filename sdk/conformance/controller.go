package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/runtime"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// ControllerOptions are what the checks of a controller need to see it work.
type ControllerOptions struct {
	// Scenario returns objects that give the controller something to do. Each
	// must have a name. Checks that need one are skipped without it.
	Scenario func() []runtime.Object
	// Settled, where set, says what is wrong with the world once the controller
	// wants nothing more.
	Settled func(w *World) error
}

// maxRounds bounds how often all keys are worked on until a controller must
// want nothing more.
const maxRounds = 50

// controllerChecks are those of a controller: the Loop contract's and its own.
func controllerChecks() []Check {
	return append(loopChecks(), []Check{
		{
			ID:       "controller.permissions",
			Sentence: "A controller declares what its decisions may do: each permission names resources and verbs.",
			Run:      checkPermissions,
		},
		{
			ID:       "controller.same",
			Sentence: "A decision is a function of the view and the key: asked twice, in two streams, about the same state, the answers are the same.",
			Run:      checkSameAnswer,
		},
		{
			ID:       "controller.encodings",
			Sentence: "The encoding of objects makes no difference to what is decided.",
			Run:      checkEncodings,
		},
		{
			ID:       "controller.settles",
			Sentence: "Once its decisions were applied a controller comes to rest: it wants nothing that is so already.",
			Run:      checkSettles,
		},
		{
			ID:       "controller.restart",
			Sentence: "A controller keeps nothing: killed between any two decisions, the next process goes on where it was and comes to the same rest.",
			Run:      checkSettlesOverCrashes,
		},
	}...)
}

func checkPermissions(_ context.Context, t *Target) error {
	if len(t.Description().GetPermissions()) == 0 {
		return errors.New("no permission is declared, so that not even the watches would be allowed")
	}
	for i, p := range t.Description().GetPermissions() {
		if len(p.GetResources()) == 0 || len(p.GetVerbs()) == 0 {
			return fmt.Errorf("permission %d (%v) names no resource or no verb", i, p)
		}
	}
	return nil
}

// scenario returns a world with the scenario's objects in it.
func scenario(t *Target) (*World, error) {
	if t.Options.Controller == nil || t.Options.Controller.Scenario == nil {
		return nil, Skip("the options hold no scenario for the controller")
	}
	w, err := newWorld(t.Description().GetLoop())
	if err != nil {
		return nil, err
	}
	for _, obj := range t.Options.Controller.Scenario() {
		if err := w.Put(obj); err != nil {
			return nil, fmt.Errorf("scenario: %w", err)
		}
	}
	return w, nil
}

// dueKeys returns the keys of the world's objects of key kinds, in order.
func (w *World) dueKeys() []*pluginv1.Key {
	var keys []*pluginv1.Key
	kinds := append([]*pluginv1.GroupVersionKind{w.spec.GetKeyKind()}, w.spec.GetMoreKeyKinds()...)
	for i, kind := range kinds {
		for _, obj := range w.List(kindOf(kind)) {
			keys = append(keys, &pluginv1.Key{Namespace: obj.GetNamespace(), Name: obj.GetName(), Kind: uint32(i)})
		}
	}
	return keys
}

// firstDecisions shows a fresh scenario in an encoding and asks about all keys.
func firstDecisions(ctx context.Context, t *Target, encoding pluginv1.Encoding) ([]*pluginv1.Decision, error) {
	w, err := scenario(t)
	if err != nil {
		return nil, err
	}
	s, err := openLoop(ctx, t, encoding)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := w.show(s, encoding); err != nil {
		return nil, err
	}
	var out []*pluginv1.Decision
	for _, key := range w.dueKeys() {
		d, err := s.decide(key, 0)
		if err != nil {
			return nil, err
		}
		out = append(out, comparable(w, d))
	}
	return out, nil
}

// comparable takes off what may differ between two answers that are the same:
// the form that objects are written in.
func comparable(w *World, d *pluginv1.Decision) *pluginv1.Decision {
	d = proto.CloneOf(d)
	d.Enqueue, d.RequeueAfter = nil, nil
	for _, action := range d.GetActions() {
		switch a := action.GetAction().(type) {
		case *pluginv1.Action_Create:
			a.Create.Object = w.canonical(a.Create.GetKind(), a.Create.GetObject())
		case *pluginv1.Action_Update:
			a.Update.Content = w.canonical(a.Update.GetObject().GetKind(), a.Update.GetContent())
		}
	}
	return d
}

func (w *World) canonical(kind *pluginv1.GroupVersionKind, data []byte) []byte {
	u, err := w.content(kind, data)
	if err != nil {
		return data
	}
	text, err := json.Marshal(u.Object)
	if err != nil {
		return data
	}
	return text
}

func sameDecisions(a, b []*pluginv1.Decision) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d decisions, then %d", len(a), len(b))
	}
	for i := range a {
		if !proto.Equal(a[i], b[i]) {
			return fmt.Errorf("about %s it decided\n%s\nand then\n%s", keyText(a[i].GetKey()), a[i], b[i])
		}
	}
	return nil
}

func checkSameAnswer(ctx context.Context, t *Target) error {
	first, err := firstDecisions(ctx, t, pluginv1.Encoding_ENCODING_JSON)
	if err != nil {
		return err
	}
	second, err := firstDecisions(ctx, t, pluginv1.Encoding_ENCODING_JSON)
	if err != nil {
		return err
	}
	return sameDecisions(first, second)
}

func checkEncodings(ctx context.Context, t *Target) error {
	if !slices.Contains(t.Description().GetLoop().GetEncodings(), pluginv1.Encoding_ENCODING_KUBERNETES_PROTOBUF) {
		return Skip("it reads JSON alone")
	}
	asJSON, err := firstDecisions(ctx, t, pluginv1.Encoding_ENCODING_JSON)
	if err != nil {
		return err
	}
	asProtobuf, err := firstDecisions(ctx, t, pluginv1.Encoding_ENCODING_KUBERNETES_PROTOBUF)
	if err != nil {
		return err
	}
	return sameDecisions(asJSON, asProtobuf)
}

func checkSettles(ctx context.Context, t *Target) error {
	return settle(ctx, t, func() error { return nil })
}

func checkSettlesOverCrashes(ctx context.Context, t *Target) error {
	return settle(ctx, t, func() error { return t.Crash(ctx) })
}

// settle works on all keys until nothing is wanted any more. Between rounds the
// world may be shaken; a new stream then shows all of it again.
func settle(ctx context.Context, t *Target, between func() error) error {
	w, err := scenario(t)
	if err != nil {
		return err
	}
	for range maxRounds {
		busy, err := w.round(ctx, t)
		if err != nil {
			return err
		}
		if !busy {
			if check := t.Options.Controller.Settled; check != nil {
				return check(w)
			}
			return nil
		}
		if err := between(); err != nil {
			return err
		}
	}
	return fmt.Errorf("after all keys were worked on %d times it still wants something", maxRounds)
}

// round shows the world on a new stream and works on every key once. busy is
// true where anything but events was wanted.
func (w *World) round(ctx context.Context, t *Target) (busy bool, err error) {
	s, err := openLoop(ctx, t, pluginv1.Encoding_ENCODING_JSON)
	if err != nil {
		return false, err
	}
	defer s.close()
	w.shown = map[shownKey]bool{}
	for k := range w.objects {
		w.changed[k] = true
	}
	if err := w.show(s, pluginv1.Encoding_ENCODING_JSON); err != nil {
		return false, err
	}
	for _, key := range w.dueKeys() {
		d, err := s.decide(key, 0)
		if err != nil {
			return false, err
		}
		if d.GetError() != nil {
			return false, fmt.Errorf("%s can't be decided: %s", keyText(key), d.GetError().GetMessage())
		}
		if err := w.apply(d); err != nil {
			return false, fmt.Errorf("decision about %s: %w", keyText(key), err)
		}
		busy = busy || slices.ContainsFunc(d.GetActions(), func(a *pluginv1.Action) bool { return a.GetEvent() == nil })
		if err := w.show(s, pluginv1.Encoding_ENCODING_JSON); err != nil {
			return false, err
		}
	}
	return busy, nil
}
