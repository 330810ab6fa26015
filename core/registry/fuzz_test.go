package registry_test

import (
	"context"
	"encoding/json"
	"math/rand"
	"testing"

	"github.com/pintle-io/pintle/core/registry"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/diff"
	"sigs.k8s.io/yaml"
)

// exercise puts an object through all that a create, an update and a table do
// with it, and checks what holds for any object.
func exercise(t testing.TB, k *registry.Kind, obj runtime.Object) {
	t.Helper()
	ctx := context.Background()
	if k.Default != nil {
		k.Default(obj)
		again := obj.DeepCopyObject()
		k.Default(again)
		if once, twice := encode(t, obj), encode(t, again); once != twice {
			t.Fatalf("%s: defaulting is not idempotent (-once +twice):\n%s", k.GVK.Kind, diff.Diff(once, twice))
		}
	}
	table(t, k, obj)
	created := obj.DeepCopyObject()
	if k.PrepareForCreate != nil {
		k.PrepareForCreate(ctx, created)
	}
	valid := true
	if k.Validate != nil {
		valid = len(k.Validate(created)) == 0
	}
	if k.Unserved != nil {
		k.Unserved(created, nil)
	}
	if k.Warnings != nil {
		k.Warnings(created, nil)
	}
	if k.Allocate != nil && valid {
		if names, err := k.Allocate(ctx, claims{}, created, nil); err == nil {
			if held := k.Claims(created); len(held) != len(names) {
				t.Fatalf("%s: allocated %v and holds %v", k.GVK.Kind, names, held)
			}
		}
	}
	if k.GracePeriod != nil {
		k.GracePeriod(created, nil)
	}
	same := created.DeepCopyObject()
	errs := update(k, same, created)
	if valid && len(errs) > 0 {
		t.Fatalf("%s: an update that changes nothing is refused: %v\n%s", k.GVK.Kind, errs, encode(t, created))
	}
	if k.Status {
		next := obj.DeepCopyObject()
		k.PrepareForStatusUpdate(ctx, next, created)
		if k.ValidateStatusUpdate != nil {
			k.ValidateStatusUpdate(next, created)
		}
	}
	if k.Unserved != nil {
		if refused, warnings := k.Unserved(same, created); len(refused)+len(warnings) > 0 {
			t.Fatalf("%s: an update that changes nothing is reported: %v %q", k.GVK.Kind, refused, warnings)
		}
	}
}

func table(t testing.TB, k *registry.Kind, obj runtime.Object) {
	t.Helper()
	if cells := k.Row(obj, now); len(cells) != len(k.Columns) {
		t.Fatalf("%s: %d cells in %d columns", k.GVK.Kind, len(cells), len(k.Columns))
	}
	if k.Fields != nil {
		k.Fields(obj)
	}
	if k.Scale != nil {
		k.Scale.Get(obj)
	}
}

func encode(t testing.TB, obj runtime.Object) string {
	t.Helper()
	text, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Objects filled at random, by a seed that does not change.
func TestAnyObject(t *testing.T) {
	r := builtin(t, registry.Options{})
	filler := fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(1), r.Codecs())
	for _, k := range r.Kinds() {
		t.Run(k.GVK.Kind, func(t *testing.T) {
			for range 100 {
				obj := k.New()
				filler.Fill(obj)
				exercise(t, k, obj)
			}
		})
	}
}

func FuzzObject(f *testing.F) {
	for _, manifest := range []string{
		podManifest("image: i\nports: [{containerPort: 80}]\nlivenessProbe: {httpGet: {port: 80}}\nenv: [{name: A, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['a']\"}}}]\nresources: {limits: {cpu: 1}}", "volumes: [{name: v}, {name: p, projected: {sources: [{configMap: {name: c}}]}}]\naffinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: k, operator: Exists}]}]}}}"),
		serviceWith("type: NodePort, sessionAffinity: ClientIP, ports: [{port: 80, targetPort: web}]"),
		serviceWith("clusterIP: 10.43.0.9, clusterIPs: [10.43.0.9], externalIPs: [192.0.2.1], ports: [{port: 80}]"),
		replicaSet("a: b"),
		"apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nspec: {podCIDRs: [10.44.0.0/24], taints: [{key: k, effect: NoSchedule}]}",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: '{}'}",
		"apiVersion: v1\nkind: Event\nmetadata: {name: e}\nseries: {count: 1}",
		"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e}\naddressType: IPv6\nendpoints: [{addresses: ['fd00::1']}]",
		"apiVersion: pintle.io/v1\nkind: Plugin\nmetadata: {name: p}\nspec: {type: scheduler, config: {a: 1}}",
	} {
		text, err := yaml.YAMLToJSON([]byte(manifest))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	r := builtin(f, registry.Options{})
	f.Fuzz(func(t *testing.T, text []byte) {
		obj, gvk, err := r.Codecs().UniversalDeserializer().Decode(text, nil, nil)
		if err != nil {
			return
		}
		if k, ok := r.ByKind(*gvk); ok {
			exercise(t, k, obj)
		}
	})
}
