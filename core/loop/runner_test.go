package loop_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/loop"
)

func TestLoopConverges(t *testing.T) {
	e := newEnv(t)
	r := loop.New(e.options("copies"))
	e.create(configMap("before", map[string]string{"copies": "3"}))
	run(t, r, inProcess(t, copiesSpec(), reconcileFunc(copies)))
	e.create(configMap("after", map[string]string{"copies": "20"}))
	e.secrets(map[string]int{"before": 3, "after": 20})

	cm := e.get("configmaps", "after").(*corev1.ConfigMap)
	cm.Data["copies"] = "4"
	e.update(cm)
	e.secrets(map[string]int{"before": 3, "after": 4})

	eventually(t, "events", func() (bool, string) {
		events := e.list("events")
		for _, obj := range events {
			ev := obj.(*corev1.Event)
			if ev.Reason == "Copied" && ev.InvolvedObject.Kind == "ConfigMap" && ev.InvolvedObject.UID != "" && ev.InvolvedObject.APIVersion == "v1" {
				return true, ""
			}
		}
		return false, fmt.Sprint(events)
	})
}

func (e *env) get(resource, name string) any {
	e.t.Helper()
	obj, err := e.api.Get(e.admin, api.Target{Resource: schema.GroupResource{Resource: resource}, Namespace: "default", Name: name}, api.GetOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
	return obj
}

func (e *env) update(cm *corev1.ConfigMap) {
	e.t.Helper()
	if _, err := e.api.Update(e.admin, e.target(cm), cm, api.UpdateOptions{}); err != nil {
		e.t.Fatal(err)
	}
}

// secrets waits until each owner has as many.
func (e *env) secrets(want map[string]int) {
	e.t.Helper()
	eventually(e.t, "copies", func() (bool, string) {
		have := map[string]int{}
		for _, obj := range e.list("secrets") {
			have[obj.(*corev1.Secret).OwnerReferences[0].Name]++
		}
		for name, n := range want {
			if have[name] != n {
				return false, fmt.Sprint(have)
			}
		}
		return true, ""
	})
}
