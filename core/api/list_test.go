package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pintle-io/pintle/core/api"
)

func names(list *api.List) []string {
	var out []string
	for _, obj := range list.Items {
		out = append(out, obj.(metav1.ObjectMetaAccessor).GetObjectMeta().GetName())
	}
	return out
}

func (c *cluster) fill(n int) {
	c.t.Helper()
	for i := range n {
		cm := newConfigMap(fmt.Sprintf("cm-%02d", i))
		cm.Labels = map[string]string{"parity": []string{"even", "odd"}[i%2], "quoted": `a"b`[:1]}
		cm.Annotations = map[string]string{"note": `braces }{ and "quotes" \ in text`}
		if _, err := c.Create(c.ctx, in(configMaps, ""), cm, api.CreateOptions{}); err != nil {
			c.t.Fatal(err)
		}
	}
}

func TestListPagesAreOfOneSnapshot(t *testing.T) {
	c := newCluster(t)
	c.fill(10)
	for _, selector := range []string{"", "parity=even"} {
		opts := api.ListOptions{Limit: 3, LabelSelector: selector}
		var got []string
		var revisions []uint64
		for {
			page, err := c.List(c.ctx, in(configMaps, ""), opts)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, names(page)...)
			revisions = append(revisions, page.Revision)
			if selector == "" && page.Continue != "" && page.Remaining != nil && int(*page.Remaining) != 10-len(got) {
				t.Errorf("remaining %d after %d", *page.Remaining, len(got))
			}
			if page.Continue == "" {
				break
			}
			opts.Continue = page.Continue
			// What is written between two pages is not in the list.
			name := fmt.Sprintf("cm-%02d-new", len(got))
			if _, err := c.Create(c.ctx, in(configMaps, ""), newConfigMap(name), api.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if len(slices.Compact(revisions)) != 1 || !slices.IsSorted(got) {
			t.Errorf("revisions %v, names %v", revisions, got)
		}
		if want := map[string]int{"": 10, "parity=even": 5}[selector]; len(got) != want {
			t.Errorf("selector %q: %d objects: %v", selector, len(got), got)
		}
		if _, err := c.DeleteCollection(c.ctx, in(configMaps, ""), api.DeleteOptions{}, api.ListOptions{LabelSelector: "!parity"}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestListSelectors(t *testing.T) {
	c := newCluster(t)
	c.bound("a", "n1")
	c.bound("b", "n2")
	c.createPod("c")
	tests := []struct {
		labels, fields, want string
	}{
		{"", "", "a b c"},
		{"app=a", "", "a"},
		{"app in (a,c)", "", "a c"},
		{"app!=a", "", "b c"},
		{"!app", "", ""},
		{"", "metadata.name=b", "b"},
		{"", "metadata.name!=b", "a c"},
		{"", "metadata.namespace=default,metadata.name=b", "b"},
		{"", "metadata.namespace=other", ""},
		{"", "spec.nodeName=n1", "a"},
		{"", "spec.nodeName=", "c"},
		{"app=a", "spec.nodeName=n2", ""},
	}
	for _, tt := range tests {
		for _, target := range []api.Target{in(pods, ""), {Resource: pods}} {
			list, err := c.List(c.ctx, target, api.ListOptions{LabelSelector: tt.labels, FieldSelector: tt.fields})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(names(list), " "); got != tt.want {
				t.Errorf("labels %q, fields %q in %q: got %q, want %q", tt.labels, tt.fields, target.Namespace, got, tt.want)
			}
		}
	}
}

func TestListErrors(t *testing.T) {
	c := newCluster(t)
	c.fill(2)
	exact := metav1.ResourceVersionMatchExact
	huge := make([]string, 100_000)
	for i := range huge {
		huge[i] = fmt.Sprintf("l%d=v", i)
	}
	yes := true
	tests := []struct {
		name string
		opts api.ListOptions
		is   func(error) bool
	}{
		{"unsupported field", api.ListOptions{FieldSelector: "spec.colour=red"}, apierrors.IsBadRequest},
		{"bad label selector", api.ListOptions{LabelSelector: "a=b=c"}, apierrors.IsBadRequest},
		{"100,000 labels", api.ListOptions{LabelSelector: strings.Join(huge, ",")}, apierrors.IsBadRequest},
		{"bad token", api.ListOptions{Continue: "abc"}, apierrors.IsBadRequest},
		{"bad revision", api.ListOptions{ResourceVersion: "x"}, apierrors.IsInvalid},
		{"match without revision", api.ListOptions{ResourceVersionMatch: exact}, apierrors.IsInvalid},
		{"exact 0", api.ListOptions{ResourceVersionMatch: exact, ResourceVersion: "0"}, apierrors.IsInvalid},
		{"initial events of a list", api.ListOptions{SendInitialEvents: &yes}, apierrors.IsInvalid},
		{"future", api.ListOptions{ResourceVersion: "999999"}, func(err error) bool {
			return apierrors.IsTimeout(err) && apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
		}},
		{"exact future", api.ListOptions{ResourceVersion: "999999", ResourceVersionMatch: exact}, apierrors.IsTimeout},
	}
	for _, tt := range tests {
		if _, err := c.List(c.ctx, in(configMaps, ""), tt.opts); !tt.is(err) {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func TestListOfThePast(t *testing.T) {
	c := newCluster(t)
	c.fill(3)
	first, err := c.List(c.ctx, in(configMaps, ""), api.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Delete(c.ctx, in(configMaps, "cm-02"), api.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	then := api.ListOptions{ResourceVersion: api.FormatRevision(first.Revision), ResourceVersionMatch: metav1.ResourceVersionMatchExact}
	past, err := c.List(c.ctx, in(configMaps, ""), then)
	if err != nil || len(past.Items) != 3 || past.Revision != first.Revision {
		t.Errorf("%v, %v", past, err)
	}
	now, err := c.List(c.ctx, in(configMaps, ""), api.ListOptions{ResourceVersion: then.ResourceVersion})
	if err != nil || len(now.Items) != 2 {
		t.Errorf("%v, %v", now, err)
	}
	newest, err := c.Revision(c.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.store.Compact(c.ctx, newest); err != nil {
		t.Fatal(err)
	}
	if _, err := c.List(c.ctx, in(configMaps, ""), then); !apierrors.IsResourceExpired(err) {
		t.Errorf("list of a compacted revision: %v", err)
	}
	_, err = c.List(c.ctx, in(configMaps, ""), api.ListOptions{Limit: 1, Continue: first.Continue})
	if !apierrors.IsResourceExpired(err) {
		t.Fatalf("continue of a compacted list: %v", err)
	}
	token := err.(apierrors.APIStatus).Status().Continue
	rest, err := c.List(c.ctx, in(configMaps, ""), api.ListOptions{Continue: token})
	if err != nil || strings.Join(names(rest), " ") != "cm-01" {
		t.Errorf("going on in the newest snapshot: %v, %v", rest, err)
	}
}

// The JSON that is spliced together is that of the decoded object.
func TestDocumentJSON(t *testing.T) {
	c := newCluster(t)
	c.bound("web", "n1")
	c.fill(1)
	for _, target := range []api.Target{in(pods, "web"), in(configMaps, "cm-00"), {Resource: nodes, Name: "n1"}, {Resource: namespaces, Name: "default"}} {
		doc, err := c.GetDocument(c.ctx, target, api.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		data, err := doc.JSON()
		if err != nil {
			t.Fatal(err)
		}
		obj, err := doc.Object()
		if err != nil {
			t.Fatal(err)
		}
		parsed := doc.Kind().New()
		if err := json.Unmarshal(data, parsed); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if !equality.Semantic.DeepEqual(parsed, obj) {
			t.Errorf("got %s", data)
		}
		set, err := doc.Labels()
		if want := obj.(metav1.ObjectMetaAccessor).GetObjectMeta().GetLabels(); err != nil || !equality.Semantic.DeepEqual(map[string]string(set), want) {
			t.Errorf("labels %v, want %v, %v", set, want, err)
		}
	}
}

func TestObjectTooLarge(t *testing.T) {
	c := newCluster(t)
	cm := newConfigMap("big")
	cm.Annotations = map[string]string{}
	cm.Data["x"] = strings.Repeat("\x01", 1<<20) // six bytes each in JSON
	_, err := c.Create(c.ctx, in(configMaps, ""), cm, api.CreateOptions{})
	if !apierrors.IsRequestEntityTooLargeError(err) {
		t.Errorf("got %v", err)
	}
}

func TestClaimsAreUniqueAndFreed(t *testing.T) {
	c := newCluster(t)
	newService := func(name, ip string) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.ServiceSpec{ClusterIP: ip, Ports: []corev1.ServicePort{{Port: 80}}},
		}
	}
	a := must[any](t)(c.Create(c.ctx, in(services, ""), newService("a", ""), api.CreateOptions{})).(*corev1.Service)
	if a.Spec.ClusterIP == "" {
		t.Fatal("no address was given")
	}
	_, err := c.Create(c.ctx, in(services, ""), newService("b", a.Spec.ClusterIP), api.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "clusterIP") {
		t.Errorf("taking a held address: %v", err)
	}
	if _, _, err := c.Delete(c.ctx, in(services, "a"), api.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	b := must[any](t)(c.Create(c.ctx, in(services, ""), newService("b", a.Spec.ClusterIP), api.CreateOptions{})).(*corev1.Service)
	toNodePort := b.DeepCopy()
	toNodePort.Spec.Type = corev1.ServiceTypeNodePort
	b = must[any](t)(c.Update(c.ctx, in(services, "b"), toNodePort, api.UpdateOptions{})).(*corev1.Service)
	if b.Spec.Ports[0].NodePort == 0 || b.Spec.ClusterIP != a.Spec.ClusterIP {
		t.Errorf("got %+v", b.Spec)
	}
	claims, err := c.store.Reservations(c.ctx, "")
	if err != nil || len(claims) != 2 {
		t.Errorf("claims %v, %v", claims, err)
	}
	back := b.DeepCopy()
	back.Spec.Type = corev1.ServiceTypeClusterIP
	back.Spec.Ports[0].NodePort = 0
	must[any](t)(c.Update(c.ctx, in(services, "b"), back, api.UpdateOptions{}))
	claims, err = c.store.Reservations(c.ctx, "nodeport/")
	if err != nil || len(claims) != 0 {
		t.Errorf("claims %v, %v", claims, err)
	}
}
