package controller

import (
	"fmt"
	"strconv"

	"google.golang.org/protobuf/types/known/durationpb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
)

// encode writes a decision as the contract has it.
func (p *plan) encode(d *Decision, encoding pluginv1.Encoding) (*pluginv1.Decision, error) {
	out := &pluginv1.Decision{Reason: d.Reason}
	if d.RequeueAfter > 0 {
		out.RequeueAfter = durationpb.New(d.RequeueAfter)
	}
	if d.growing {
		out.Order = pluginv1.Decision_ORDER_GROWING_BATCHES
	}
	for _, obj := range d.guards {
		ref, err := p.ref(obj, false)
		if err != nil {
			return nil, fmt.Errorf("guard: %w", err)
		}
		out.Guards = append(out.Guards, ref)
	}
	for i, a := range d.actions {
		action, err := p.encodeAction(a, encoding)
		if err != nil {
			return nil, fmt.Errorf("action %d (%s): %w", i, a.verb, err)
		}
		out.Actions = append(out.Actions, action)
	}
	return out, nil
}

func (p *plan) encodeAction(a *Action, encoding pluginv1.Encoding) (*pluginv1.Action, error) {
	out := &pluginv1.Action{OnSuccess: a.onSuccess.wire(nil), OnFailure: a.onFailure.wire(nil)}
	if a.verb == verbEvent {
		var about *pluginv1.ObjectRef
		if a.object != nil {
			var err error
			if about, err = p.ref(a.object, false); err != nil {
				return nil, err
			}
		}
		out.Action = &pluginv1.Action_Event{Event: a.event.wire(about)}
		return out, nil
	}
	ref, err := p.ref(a.object, a.atRevision || a.verb == verbUpdate)
	if err != nil {
		return nil, err
	}
	switch a.verb {
	case verbCreate:
		content, err := p.content(a.object, encoding)
		if err != nil {
			return nil, err
		}
		out.Action = &pluginv1.Action_Create{Create: &pluginv1.Create{Kind: ref.Kind, Namespace: ref.Namespace, Object: content}}
	case verbUpdate:
		content, err := p.content(a.object, encoding)
		if err != nil {
			return nil, err
		}
		out.Action = &pluginv1.Action_Update{Update: &pluginv1.Update{Object: ref, Content: content, Subresource: a.subresource}}
	case verbPatch:
		kind, err := patchToWire(a.patchType)
		if err != nil {
			return nil, err
		}
		out.Action = &pluginv1.Action_Patch{Patch: &pluginv1.Patch{Object: ref, Type: kind, Patch: a.patch, Subresource: a.subresource}}
	case verbDelete:
		out.Action = &pluginv1.Action_Delete{Delete: &pluginv1.Delete{Object: ref, GracePeriodSeconds: a.grace, PropagationPolicy: string(a.propagation)}}
	case verbBind:
		out.Action = &pluginv1.Action_Bind{Bind: &pluginv1.Bind{Pod: ref, Node: a.node}}
	case verbEvict:
		out.Action = &pluginv1.Action_Evict{Evict: &pluginv1.Evict{Pod: ref, GracePeriodSeconds: a.grace}}
	default:
		return nil, fmt.Errorf("no action has the verb %q", a.verb)
	}
	return out, nil
}

func (p *plan) content(obj runtime.Object, encoding pluginv1.Encoding) ([]byte, error) {
	kind, err := kindOf(p.types, obj)
	if err != nil {
		return nil, err
	}
	return stream.Encode(encoding, kind, obj)
}

func (p *plan) ref(obj runtime.Object, atRevision bool) (*pluginv1.ObjectRef, error) {
	kind, err := p.kindOf(obj)
	if err != nil {
		return nil, err
	}
	m, err := meta.Accessor(obj)
	if err != nil {
		return nil, fmt.Errorf("%T has no metadata: %w", obj, err)
	}
	ref := &pluginv1.ObjectRef{Kind: kind, Namespace: m.GetNamespace(), Name: m.GetName(), Uid: string(m.GetUID())}
	if atRevision && m.GetResourceVersion() != "" {
		if ref.Revision, err = strconv.ParseUint(m.GetResourceVersion(), 10, 64); err != nil {
			return nil, fmt.Errorf("resourceVersion %q is no revision", m.GetResourceVersion())
		}
	}
	return ref, nil
}

func (p *plan) kindOf(obj runtime.Object) (*pluginv1.GroupVersionKind, error) {
	kind, err := kindOf(p.types, obj)
	if err != nil {
		return nil, err
	}
	return kindToWire(kind), nil
}

func (t *told) wire(about *pluginv1.ObjectRef) *pluginv1.Event {
	if t == nil {
		return nil
	}
	e := &pluginv1.Event{Object: about, Type: pluginv1.Event_TYPE_NORMAL, Reason: t.reason, Message: t.message}
	if t.eventType == corev1.EventTypeWarning {
		e.Type = pluginv1.Event_TYPE_WARNING
	}
	return e
}

func patchToWire(t types.PatchType) (pluginv1.Patch_Type, error) {
	switch t {
	case types.JSONPatchType:
		return pluginv1.Patch_TYPE_JSON, nil
	case types.MergePatchType:
		return pluginv1.Patch_TYPE_MERGE, nil
	case types.StrategicMergePatchType:
		return pluginv1.Patch_TYPE_STRATEGIC_MERGE, nil
	case types.ApplyPatchType:
		return pluginv1.Patch_TYPE_APPLY, nil
	}
	return 0, fmt.Errorf("patch type %q is not one of the API", t)
}
