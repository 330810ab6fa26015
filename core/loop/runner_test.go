package loop_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/core/loop"
	"github.com/pintle-io/pintle/core/loop/looptest"
)

func TestLoopConverges(t *testing.T) {
	e := looptest.New(t)
	r := loop.New(e.Options("copies"))
	e.Create(configMap("before", map[string]string{"copies": "3"}))
	looptest.Run(t, r, looptest.InProcess(t, copiesSpec(), reconcileFunc(copies)))
	e.Create(configMap("after", map[string]string{"copies": "20"}))
	secretsOf(e, map[string]int{"before": 3, "after": 20})

	cm := e.Get("configmaps", "default", "after").(*corev1.ConfigMap)
	cm.Data["copies"] = "4"
	e.Update(cm)
	secretsOf(e, map[string]int{"before": 3, "after": 4})

	looptest.Eventually(t, "events", func() (bool, string) {
		events := e.List("events")
		for _, obj := range events {
			ev := obj.(*corev1.Event)
			if ev.Reason == "Copied" && ev.InvolvedObject.Kind == "ConfigMap" && ev.InvolvedObject.UID != "" && ev.InvolvedObject.APIVersion == "v1" {
				return true, ""
			}
		}
		return false, fmt.Sprint(events)
	})
}

// secretsOf waits until each owner has as many.
func secretsOf(e *looptest.Env, want map[string]int) {
	e.T.Helper()
	looptest.Eventually(e.T, "copies", func() (bool, string) {
		have := map[string]int{}
		for _, obj := range e.List("secrets") {
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
