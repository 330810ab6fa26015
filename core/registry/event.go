package registry

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func eventKind() *Kind {
	doc := corev1.Event{}.SwaggerDoc()
	return typed(Kind{
		GVK:      corev1.SchemeGroupVersion.WithKind("Event"),
		Resource: "events", Singular: "event", ShortNames: []string{"ev"}, Namespaced: true,
		CreateOnUpdate: true,
		New:            func() runtime.Object { return &corev1.Event{} },
		NewList:        func() runtime.Object { return &corev1.EventList{} },
		ValidateName:   validation.NameIsDNSSubdomain,
		FieldNames: []string{
			"involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
			"involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
			"reason", "reportingComponent", "source", "type",
		},
		Columns: []metav1.TableColumnDefinition{
			column("Last Seen", doc["lastTimestamp"]),
			column("Type", doc["type"]),
			column("Reason", doc["reason"]),
			column("Object", doc["involvedObject"]),
			wide(column("Subobject", corev1.ObjectReference{}.SwaggerDoc()["fieldPath"])),
			wide(column("Source", doc["source"])),
			column("Message", doc["message"]),
			wide(column("First Seen", doc["firstTimestamp"])),
			wide(intColumn("Count", doc["count"])),
			wide(nameColumn()),
		},
	}, funcs[*corev1.Event]{
		Validate: validateEvent,
		Fields:   eventFields,
		Row:      eventRow,
	})
}

// validateEvent is lenient: an event that tells something is worth more than
// one that is well formed.
func validateEvent(e *corev1.Event) field.ErrorList {
	path := field.NewPath("involvedObject", "namespace")
	about := e.InvolvedObject.Namespace
	clusterScoped := about == "" && (e.Namespace == metav1.NamespaceNone || e.Namespace == metav1.NamespaceDefault)
	if about != e.Namespace && !clusterScoped {
		return field.ErrorList{field.Invalid(path, about, "does not match event.namespace")}
	}
	return nil
}

func eventFields(e *corev1.Event) fields.Set {
	about := e.InvolvedObject
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	return fields.Set{
		"involvedObject.kind":            about.Kind,
		"involvedObject.namespace":       about.Namespace,
		"involvedObject.name":            about.Name,
		"involvedObject.uid":             string(about.UID),
		"involvedObject.apiVersion":      about.APIVersion,
		"involvedObject.resourceVersion": about.ResourceVersion,
		"involvedObject.fieldPath":       about.FieldPath,
		"reason":                         e.Reason,
		"reportingComponent":             e.ReportingController,
		"source":                         source,
		"type":                           e.Type,
	}
}

func eventRow(e *corev1.Event, now metav1.Time) []any {
	first, last := e.FirstTimestamp.Time, e.LastTimestamp.Time
	if first.IsZero() {
		first = e.EventTime.Time
	}
	if last.IsZero() {
		last = first
	}
	count := int64(e.Count)
	if e.Series != nil {
		last = latest(last, e.Series.LastObservedTime.Time)
		count = int64(e.Series.Count)
	} else if count == 0 {
		count = 1
	}
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	if host := e.Source.Host; host != "" {
		source += ", " + host
	} else if e.Source.Component == "" && e.ReportingInstance != "" {
		source += ", " + e.ReportingInstance
	}
	about := strings.ToLower(e.InvolvedObject.Kind)
	if e.InvolvedObject.Name != "" {
		about += "/" + e.InvolvedObject.Name
	}
	return []any{
		since(last, now), e.Type, e.Reason, about, e.InvolvedObject.FieldPath, source,
		strings.TrimSpace(e.Message), since(first, now), count, e.Name,
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
