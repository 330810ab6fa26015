package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pintle-io/pintle/sdk/controller"
)

// replicaFailure is the type of the condition of both kinds.
const replicaFailure = "ReplicaFailure"

// status is that of both kinds, whose JSON is the same.
type status struct {
	Replicas             int32       `json:"replicas"`
	FullyLabeledReplicas int32       `json:"fullyLabeledReplicas"`
	ReadyReplicas        int32       `json:"readyReplicas"`
	AvailableReplicas    int32       `json:"availableReplicas"`
	ObservedGeneration   int64       `json:"observedGeneration"`
	Conditions           []condition `json:"conditions"`
}

type condition struct {
	Type               string                 `json:"type"`
	Status             corev1.ConditionStatus `json:"status"`
	LastTransitionTime metav1.Time            `json:"lastTransitionTime"`
	Reason             string                 `json:"reason,omitempty"`
	Message            string                 `json:"message,omitempty"`
}

// failure returns what the API refused of the last decision, as far as it is
// to be told: what somebody changed or removed in between is no failure.
func failure(view controller.View) string {
	for _, f := range view.Failures() {
		if f.Code != http.StatusConflict && f.Code != http.StatusNotFound {
			return f.Message
		}
	}
	return ""
}

// report writes the status where it changed, and asks to come back when a pod
// will have been ready for long enough.
func (w *workload) report(d *controller.Decision, pods []*corev1.Pod, diff int, failed string, now time.Time) {
	next := status{
		Replicas:           int32(len(pods)),
		ObservedGeneration: max(w.object.GetGeneration(), w.status.ObservedGeneration),
		Conditions:         w.conditions(diff, failed, now),
	}
	minReady := time.Duration(w.minReadySeconds) * time.Second
	for _, pod := range pods {
		if labelled(pod, w.template.Labels) {
			next.FullyLabeledReplicas++
		}
		if !ready(pod) {
			continue
		}
		next.ReadyReplicas++
		since := readySince(pod)
		wait := since.Add(minReady).Sub(now)
		switch {
		case minReady == 0 || (!since.IsZero() && wait <= 0):
			next.AvailableReplicas++
		case !since.IsZero():
			d.Requeue(max(wait, time.Millisecond))
		}
	}
	if equality.Semantic.DeepEqual(next, w.status) {
		return
	}
	patch, err := json.Marshal(map[string]any{"status": next})
	if err != nil {
		panic(err) // plain data
	}
	d.PatchStatus(w.runtimeObject, types.MergePatchType, patch)
}

// conditions sets or takes away ReplicaFailure and keeps all others.
func (w *workload) conditions(diff int, failed string, now time.Time) []condition {
	had := slices.IndexFunc(w.status.Conditions, func(c condition) bool { return c.Type == replicaFailure })
	switch {
	case failed != "" && had < 0:
		reason := "FailedCreate"
		if diff > 0 {
			reason = "FailedDelete"
		}
		return append(slices.Clone(w.status.Conditions), condition{
			Type: replicaFailure, Status: corev1.ConditionTrue,
			LastTransitionTime: metav1.NewTime(now), Reason: reason, Message: failed,
		})
	case failed == "" && had >= 0:
		return slices.Delete(slices.Clone(w.status.Conditions), had, had+1)
	}
	return w.status.Conditions
}

func labelled(pod *corev1.Pod, want map[string]string) bool {
	for k, v := range want {
		if have, ok := pod.Labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}

func readyCondition(pod *corev1.Pod) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.PodReady {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

func ready(pod *corev1.Pod) bool {
	c := readyCondition(pod)
	return c != nil && c.Status == corev1.ConditionTrue
}

func readySince(pod *corev1.Pod) metav1.Time {
	if c := readyCondition(pod); c != nil && c.Status == corev1.ConditionTrue {
		return c.LastTransitionTime
	}
	return metav1.Time{}
}
