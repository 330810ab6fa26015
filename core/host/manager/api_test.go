package manager

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
)

// fakeAPI serves Plugin objects: list, watch, get, and update of the status
// with its conflict.
type fakeAPI struct {
	t        *testing.T
	server   *httptest.Server
	mu       sync.Mutex
	revision int
	objects  map[string]*pintlev1.Plugin
	watchers map[chan metav1.WatchEvent]struct{}
	writes   int
}

func newFakeAPI(t *testing.T) *fakeAPI {
	f := &fakeAPI{t: t, objects: map[string]*pintlev1.Plugin{}, watchers: map[chan metav1.WatchEvent]struct{}{}}
	f.server = httptest.NewServer(f)
	t.Cleanup(func() {
		f.server.CloseClientConnections()
		f.server.Close()
	})
	return f
}

func (f *fakeAPI) client() rest.Interface {
	f.t.Helper()
	c, err := NewClient(&rest.Config{Host: f.server.URL, QPS: -1})
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.Trim(strings.TrimPrefix(r.URL.Path, "/apis/pintle.io/v1/plugins"), "/")
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodGet && name == "" && query.Get("watch") != "":
		if query.Get("sendInitialEvents") != "" {
			f.fail(w, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid)
			return
		}
		f.watch(w, r)
	case r.Method == http.MethodGet && name == "":
		f.mu.Lock()
		list := &pintlev1.PluginList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(f.revision)}}
		list.APIVersion, list.Kind = "pintle.io/v1", "PluginList"
		for _, p := range f.objects {
			list.Items = append(list.Items, *p)
		}
		f.mu.Unlock()
		f.write(w, list)
	case r.Method == http.MethodGet:
		p := f.get(name)
		if p == nil {
			f.fail(w, http.StatusNotFound, metav1.StatusReasonNotFound)
			return
		}
		f.write(w, p)
	case r.Method == http.MethodPut && strings.HasSuffix(name, "/status"):
		f.putStatus(w, r, strings.TrimSuffix(name, "/status"))
	default:
		f.fail(w, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed)
	}
}

func (f *fakeAPI) write(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object)
}

func (f *fakeAPI) fail(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: string(reason),
	})
}

func (f *fakeAPI) watch(w http.ResponseWriter, r *http.Request) {
	events := make(chan metav1.WatchEvent, 1000)
	f.mu.Lock()
	since, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	for _, p := range f.objects {
		if revision, _ := strconv.Atoi(p.ResourceVersion); revision > since {
			events <- event("MODIFIED", p)
		}
	}
	f.watchers[events] = struct{}{}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, events)
	}()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case e := <-events:
			if json.NewEncoder(w).Encode(e) != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func event(kind string, p *pintlev1.Plugin) metav1.WatchEvent {
	e := metav1.WatchEvent{Type: kind}
	raw, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	e.Object.Raw = raw
	return e
}

// store stores and announces; the caller holds mu.
func (f *fakeAPI) store(kind string, p *pintlev1.Plugin) {
	f.revision++
	p.ResourceVersion = strconv.Itoa(f.revision)
	p.APIVersion, p.Kind = "pintle.io/v1", "Plugin"
	if kind == "DELETED" {
		delete(f.objects, p.Name)
	} else {
		f.objects[p.Name] = p
	}
	for events := range f.watchers {
		events <- event(kind, p)
	}
}

func (f *fakeAPI) putStatus(w http.ResponseWriter, r *http.Request, name string) {
	var in pintlev1.Plugin
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		f.fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.objects[name]
	switch {
	case old == nil:
		f.fail(w, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	case old.ResourceVersion != in.ResourceVersion:
		f.fail(w, http.StatusConflict, metav1.StatusReasonConflict)
		return
	}
	f.writes++
	p := old.DeepCopy()
	p.Status = in.Status
	f.store("MODIFIED", p)
	f.write(w, p)
}

func (f *fakeAPI) get(name string) *pintlev1.Plugin {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.objects[name]; p != nil {
		return p.DeepCopy()
	}
	return nil
}

// create stores an object; later ones are younger.
func (f *fakeAPI) create(p *pintlev1.Plugin) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.Generation = 1
	p.CreationTimestamp = metav1.NewTime(time.Unix(int64(1_000_000_000+f.revision), 0))
	f.store("ADDED", p)
}

// update changes an object's spec.
func (f *fakeAPI) update(name string, change func(*pintlev1.PluginSpec)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.objects[name].DeepCopy()
	change(&p.Spec)
	p.Generation++
	f.store("MODIFIED", p)
}

func (f *fakeAPI) remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store("DELETED", f.objects[name].DeepCopy())
}

func (f *fakeAPI) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := ""
	for name, p := range f.objects {
		text += fmt.Sprintf("%s: %+v\n", name, p.Status)
	}
	return text
}
