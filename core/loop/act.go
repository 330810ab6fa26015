package loop

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/auth"
	"github.com/pintle-io/pintle/core/registry"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
)

// done is what an action did.
type done struct {
	verb     string
	kind     *registry.Kind
	name     string
	revision uint64
}

// act applies one action through the API.
func (r *Runner) act(ctx context.Context, action *pluginv1.Action) (done, error) {
	switch a := action.GetAction().(type) {
	case *pluginv1.Action_Create:
		return r.create(ctx, a.Create)
	case *pluginv1.Action_Update:
		return r.update(ctx, a.Update)
	case *pluginv1.Action_Patch:
		return r.patch(ctx, a.Patch)
	case *pluginv1.Action_Delete:
		return r.delete(ctx, a.Delete)
	case *pluginv1.Action_Bind:
		return r.bind(ctx, a.Bind)
	case *pluginv1.Action_Evict:
		return r.evict(ctx, a.Evict)
	}
	return done{verb: "unknown"}, apierrors.NewBadRequest(fmt.Sprintf("action %T is not known: this core is older than the plugin's SDK", action.GetAction()))
}

func (r *Runner) create(ctx context.Context, c *pluginv1.Create) (done, error) {
	d := done{verb: "create"}
	kind, err := r.kind(c.GetKind())
	if err != nil {
		return d, apierrors.NewBadRequest(err.Error())
	}
	d.kind = kind
	obj := kind.New()
	if err := stream.Decode(c.GetObject(), obj); err != nil {
		return d, apierrors.NewBadRequest(fmt.Sprintf("object to create: %v", err))
	}
	obj.GetObjectKind().SetGroupVersionKind(kind.GVK)
	if m, err := metaOf(obj); err == nil {
		d.name = m.GetName()
	}
	t := api.Target{Resource: kind.GroupResource(), Namespace: c.GetNamespace()}
	made, err := r.opts.API.Create(ctx, t, obj, api.CreateOptions{FieldManager: r.opts.Name})
	return d.left(made, err)
}

func (r *Runner) update(ctx context.Context, u *pluginv1.Update) (done, error) {
	d := done{verb: "update", name: u.GetObject().GetName()}
	kind, err := r.kind(u.GetObject().GetKind())
	if err != nil {
		return d, apierrors.NewBadRequest(err.Error())
	}
	d.kind = kind
	obj := kind.New()
	if u.GetSubresource() == "scale" {
		obj = &autoscalingv1.Scale{}
	}
	if err := stream.Decode(u.GetContent(), obj); err != nil {
		return d, apierrors.NewBadRequest(fmt.Sprintf("object to update: %v", err))
	}
	if u.GetSubresource() != "scale" {
		obj.GetObjectKind().SetGroupVersionKind(kind.GVK)
	}
	m, err := metaOf(obj)
	if err != nil {
		return d, apierrors.NewBadRequest(fmt.Sprintf("object to update: %v", err))
	}
	// The preconditions of the contract, in the API's form.
	m.SetResourceVersion("")
	if rev := u.GetObject().GetRevision(); rev != 0 {
		m.SetResourceVersion(strconv.FormatUint(rev, 10))
	}
	m.SetUID(types.UID(u.GetObject().GetUid()))
	left, err := r.opts.API.Update(ctx, target(kind, u.GetObject(), u.GetSubresource()), obj, api.UpdateOptions{FieldManager: r.opts.Name})
	return d.left(left, err)
}

func (r *Runner) patch(ctx context.Context, p *pluginv1.Patch) (done, error) {
	d := done{verb: "patch", name: p.GetObject().GetName()}
	kind, err := r.kind(p.GetObject().GetKind())
	if err != nil {
		return d, apierrors.NewBadRequest(err.Error())
	}
	d.kind = kind
	content, err := preconditioned(p)
	if err != nil {
		return d, apierrors.NewBadRequest(fmt.Sprintf("patch: %v", err))
	}
	opts := api.PatchOptions{FieldManager: r.opts.Name}
	if p.GetType() == pluginv1.Patch_TYPE_APPLY {
		force := true
		opts.Force = &force
	}
	patchType, err := patchType(p.GetType())
	if err != nil {
		return d, apierrors.NewBadRequest(err.Error())
	}
	left, _, err := r.opts.API.Patch(ctx, target(kind, p.GetObject(), p.GetSubresource()), patchType, content, opts)
	return d.left(left, err)
}

func patchType(t pluginv1.Patch_Type) (types.PatchType, error) {
	switch t {
	case pluginv1.Patch_TYPE_JSON:
		return types.JSONPatchType, nil
	case pluginv1.Patch_TYPE_MERGE:
		return types.MergePatchType, nil
	case pluginv1.Patch_TYPE_STRATEGIC_MERGE:
		return types.StrategicMergePatchType, nil
	case pluginv1.Patch_TYPE_APPLY:
		return types.ApplyPatchType, nil
	}
	return "", fmt.Errorf("patch type %s is not known: this core is older than the plugin's SDK", t)
}

// preconditioned puts uid and revision into a patch: an API server answers 409
// where the object's differ.
func preconditioned(p *pluginv1.Patch) ([]byte, error) {
	uid, revision := p.GetObject().GetUid(), p.GetObject().GetRevision()
	if uid == "" && revision == 0 {
		return p.GetPatch(), nil
	}
	if p.GetType() == pluginv1.Patch_TYPE_JSON {
		var ops []json.RawMessage
		if err := json.Unmarshal(p.GetPatch(), &ops); err != nil {
			return nil, err
		}
		var tests []json.RawMessage
		if uid != "" {
			tests = append(tests, json.RawMessage(fmt.Sprintf(`{"op":"test","path":"/metadata/uid","value":%q}`, uid)))
		}
		if revision != 0 {
			tests = append(tests, json.RawMessage(fmt.Sprintf(`{"op":"test","path":"/metadata/resourceVersion","value":"%d"}`, revision)))
		}
		return json.Marshal(append(tests, ops...))
	}
	var patch map[string]json.RawMessage
	if err := json.Unmarshal(p.GetPatch(), &patch); err != nil {
		return nil, err
	}
	metadata := map[string]json.RawMessage{}
	if raw, ok := patch["metadata"]; ok {
		if err := json.Unmarshal(raw, &metadata); err != nil {
			return nil, err
		}
	}
	if uid != "" {
		metadata["uid"] = json.RawMessage(strconv.Quote(uid))
	}
	if revision != 0 {
		metadata["resourceVersion"] = json.RawMessage(fmt.Sprintf(`"%d"`, revision))
	}
	raw, err := json.Marshal(metadata)
	if err != nil {
		return nil, err
	}
	if patch == nil {
		patch = map[string]json.RawMessage{}
	}
	patch["metadata"] = raw
	return json.Marshal(patch)
}

// delete deletes; what is gone already is as good.
func (r *Runner) delete(ctx context.Context, del *pluginv1.Delete) (done, error) {
	ref := del.GetObject()
	d := done{verb: "delete", name: ref.GetName()}
	kind, err := r.kind(ref.GetKind())
	if err != nil {
		return d, apierrors.NewBadRequest(err.Error())
	}
	d.kind = kind
	opts := api.DeleteOptions{GracePeriodSeconds: del.GracePeriodSeconds, Preconditions: preconditions(ref)}
	if p := del.GetPropagationPolicy(); p != "" {
		policy := metav1.DeletionPropagation(p)
		opts.PropagationPolicy = &policy
	}
	left, _, err := r.opts.API.Delete(ctx, target(kind, ref, ""), opts)
	if apierrors.IsNotFound(err) {
		return d, nil
	}
	return d.left(left, err)
}

func preconditions(ref *pluginv1.ObjectRef) *metav1.Preconditions {
	if ref.GetUid() == "" && ref.GetRevision() == 0 {
		return nil
	}
	p := &metav1.Preconditions{}
	if uid := types.UID(ref.GetUid()); uid != "" {
		p.UID = &uid
	}
	if rev := ref.GetRevision(); rev != 0 {
		version := strconv.FormatUint(rev, 10)
		p.ResourceVersion = &version
	}
	return p
}

func (r *Runner) bind(ctx context.Context, b *pluginv1.Bind) (done, error) {
	ref := b.GetPod()
	d := done{verb: "bind", name: ref.GetName()}
	kind, err := r.kind(podKind)
	if err != nil {
		return d, apierrors.NewBadRequest(err.Error())
	}
	d.kind = kind
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: ref.GetNamespace(), Name: ref.GetName(), UID: types.UID(ref.GetUid())},
		Target:     corev1.ObjectReference{Kind: "Node", Name: b.GetNode()},
	}
	if rev := ref.GetRevision(); rev != 0 {
		binding.ResourceVersion = strconv.FormatUint(rev, 10)
	}
	t := target(kind, ref, "binding")
	answer, err := r.opts.API.Create(ctx, t, binding, api.CreateOptions{FieldManager: r.opts.Name})
	if err != nil {
		return d, err
	}
	return r.leftPod(ctx, d, kind, ref, answer)
}

func (r *Runner) evict(ctx context.Context, e *pluginv1.Evict) (done, error) {
	ref := e.GetPod()
	d := done{verb: "evict", name: ref.GetName()}
	kind, err := r.kind(podKind)
	if err != nil {
		return d, apierrors.NewBadRequest(err.Error())
	}
	d.kind = kind
	eviction := &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: ref.GetNamespace(), Name: ref.GetName()},
		DeleteOptions: &metav1.DeleteOptions{GracePeriodSeconds: e.GracePeriodSeconds, Preconditions: preconditions(ref)},
	}
	answer, err := r.opts.API.Create(ctx, target(kind, ref, "eviction"), eviction, api.CreateOptions{FieldManager: r.opts.Name})
	if apierrors.IsNotFound(err) {
		return d, nil
	}
	if err != nil {
		return d, err
	}
	return r.leftPod(ctx, d, kind, ref, answer)
}

// leftPod finds the revision that a pod's subresource left. The API answers
// those with the pod or with a Status; the latter does not say. Reading it is
// the runner's own doing and needs no permission of the plugin.
func (r *Runner) leftPod(ctx context.Context, d done, kind *registry.Kind, ref *pluginv1.ObjectRef, answer runtime.Object) (done, error) {
	if pod, ok := answer.(*corev1.Pod); ok {
		return d.left(pod, nil)
	}
	pod, err := r.opts.API.GetDocument(auth.WithUser(ctx, auth.System("loop")), target(kind, ref, ""), api.GetOptions{})
	if err == nil {
		d.revision = pod.Revision()
	} else if !apierrors.IsNotFound(err) {
		r.log.Warn("pod's revision could not be read", "pod", ref.GetNamespace()+"/"+ref.GetName(), "error", err)
	}
	return d, nil
}

// left takes name and revision from the object that an action left.
func (d done) left(obj runtime.Object, err error) (done, error) {
	if err != nil {
		return d, err
	}
	m, err := metaOf(obj)
	if err != nil {
		return d, nil
	}
	if m.GetName() != "" {
		d.name = m.GetName()
	}
	if rev, err := strconv.ParseUint(m.GetResourceVersion(), 10, 64); err == nil {
		d.revision = rev
	}
	return d, nil
}

func target(kind *registry.Kind, ref *pluginv1.ObjectRef, subresource string) api.Target {
	return api.Target{Resource: kind.GroupResource(), Namespace: ref.GetNamespace(), Name: ref.GetName(), Subresource: subresource}
}
