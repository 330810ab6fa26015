package loop

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// record keeps a decision in the journal.
func (s *session) record(d *pluginv1.Decision, f *flight, a *applier, decided time.Time, took time.Duration) {
	opts := &s.runner.opts
	if opts.Journal == nil {
		return
	}
	// A decision that wants and says nothing is no news.
	if len(d.GetActions()) == 0 && d.GetReason() == "" && d.GetError() == nil && d.GetRequeueAfter() == nil {
		return
	}
	r := &Record{
		Loop:     opts.Name,
		Identity: s.user.Name,
		Key:      f.item.key,
		Revision: d.GetObservedRevision(),
		Attempt:  f.item.attempt,
		Reason:   d.GetReason(),
		Error:    d.GetError().GetMessage(),
		Shadow:   opts.Shadow,
		Due:      f.item.since,
		Sent:     f.sent,
		Decided:  decided,
		Applied:  decided.Add(took),
	}
	if after := d.GetRequeueAfter(); after.IsValid() {
		r.RequeueAfter = after.AsDuration()
	}
	for i, action := range d.GetActions() {
		ar := describeAction(action)
		if i < len(a.results) {
			res := a.results[i]
			ar.Skipped, ar.Revision = res.GetSkipped(), res.GetRevision()
			ar.Code, ar.Reason, ar.Error = res.GetCode(), res.GetReason(), res.GetMessage()
			if res.GetName() != "" {
				ar.Object.Name = res.GetName()
			}
		} else {
			ar.Skipped = !opts.Shadow
		}
		r.Actions = append(r.Actions, ar)
	}
	opts.Journal.add(r)
}

func describeAction(action *pluginv1.Action) ActionRecord {
	switch a := action.GetAction().(type) {
	case *pluginv1.Action_Create:
		return ActionRecord{Verb: "create", Object: Key{Kind: groupKind(a.Create.GetKind()), Namespace: a.Create.GetNamespace()}}
	case *pluginv1.Action_Update:
		return ActionRecord{Verb: verbOn("update", a.Update.GetSubresource()), Object: keyOf(a.Update.GetObject())}
	case *pluginv1.Action_Patch:
		return ActionRecord{Verb: verbOn("patch", a.Patch.GetSubresource()), Object: keyOf(a.Patch.GetObject())}
	case *pluginv1.Action_Delete:
		return ActionRecord{Verb: "delete", Object: keyOf(a.Delete.GetObject())}
	case *pluginv1.Action_Bind:
		return ActionRecord{Verb: "bind", Object: podKey(a.Bind.GetPod()), Node: a.Bind.GetNode()}
	case *pluginv1.Action_Evict:
		return ActionRecord{Verb: "evict", Object: podKey(a.Evict.GetPod())}
	case *pluginv1.Action_Event:
		return ActionRecord{Verb: "event", Object: keyOf(a.Event.GetObject()), Message: a.Event.GetReason() + ": " + a.Event.GetMessage()}
	}
	return ActionRecord{Verb: "unknown"}
}

func verbOn(verb, subresource string) string {
	if subresource == "" {
		return verb
	}
	return verb + " " + subresource
}

func groupKind(k *pluginv1.GroupVersionKind) schema.GroupKind {
	return schema.GroupKind{Group: k.GetGroup(), Kind: k.GetKind()}
}

func keyOf(o *pluginv1.ObjectRef) Key {
	return Key{Kind: groupKind(o.GetKind()), Namespace: o.GetNamespace(), Name: o.GetName()}
}

func podKey(o *pluginv1.ObjectRef) Key {
	return Key{Kind: schema.GroupKind{Kind: "Pod"}, Namespace: o.GetNamespace(), Name: o.GetName()}
}
