// Package controller makes a Kubernetes-style controller a plugin: observe,
// diff, act, as a pure function over a local view.
//
//	type restarter struct{}
//
//	func (restarter) Reconcile(ctx context.Context, key controller.Key, view controller.View) (controller.Decision, error) {
//		var d controller.Decision
//		pod, ok := controller.Get[*corev1.Pod](view, key.Namespace, key.Name)
//		if ok && pod.Status.Phase == corev1.PodFailed {
//			d.Because("failed pods are not kept")
//			d.Delete(pod).OnSuccess(corev1.EventTypeNormal, "Removed", "Removed failed pod {name}")
//		}
//		return d, nil
//	}
//
//	func main() {
//		controller.Serve(plugin.Info{Name: "restarter", Version: "1.0.0"}, controller.Spec{
//			Watches: []controller.Watch{{Object: &corev1.Pod{}, Trigger: controller.Self}},
//		}, restarter{})
//	}
//
// # What the core does
//
// The core sends every object that the Spec's watches select and every change
// in order; the SDK keeps the View from them. The core owns the queue: it says
// which key is due (a Watch's Trigger tells why), never gives out one key
// twice at a time, waits with backoff after failures, and applies the Decision
// under the controller's own permissions, which it declares in plugin.Info. A
// decision's own changes are in the view before its key comes again, so that
// nothing needs to be remembered, expected or waited for.
//
// # Testing
//
// ViewOf makes a view from objects, so that a table test calls Reconcile
// without any server and looks at the Decision's Actions. The suite in
// sdk/conformance then runs the finished executable over the real wire.
package controller
