package manager

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
)

// TestRecorder: an event about a Plugin arrives at the API and names it.
func TestRecorder(t *testing.T) {
	events := make(chan *corev1.Event, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e corev1.Event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil || r.URL.Path != "/api/v1/namespaces/default/events" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		events <- &e
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(&e)
	}))
	defer server.Close()
	recorder, stop, err := NewRecorder(&rest.Config{Host: server.URL}, "pintled", "n1")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	p := object("a", pintlev1.PluginSpec{})
	p.UID = "u-1"
	recorder.Event(p, corev1.EventTypeWarning, "RolledBack", "it was no good")
	select {
	case e := <-events:
		if ref := e.InvolvedObject; ref.Kind != "Plugin" || ref.Name != "a" || ref.UID != "u-1" || ref.APIVersion != "pintle.io/v1" {
			t.Errorf("the event is about %+v", ref)
		}
		if e.Reason != "RolledBack" || e.Source.Component != "pintled" || e.Source.Host != "n1" {
			t.Errorf("the event is %+v", e)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("no event arrived")
	}
}
