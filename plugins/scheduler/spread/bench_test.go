package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/controller/stream"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// The watches by their index, as the SDK describes them.
const (
	watchWaiting = iota
	watchPlaced
	watchNodes
)

const (
	benchNodes = 5000
	benchBatch = 64
	encoding   = pluginv1.Encoding_ENCODING_KUBERNETES_PROTOBUF
)

// driver is a core that does nothing but to show pods and to bind them.
type driver struct {
	b         *testing.B
	session   stream.Session
	decisions chan *pluginv1.Decision
	ended     chan error
	revision  uint64
	on        map[string]int
	client    *goplugin.Client
	process   *exec.Cmd
}

func startPlugin(b *testing.B) *driver {
	b.Helper()
	executable := filepath.Join(b.TempDir(), "scheduler-spread")
	if out, err := exec.Command("go", "build", "-o", executable, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	config := plugin.ClientConfig()
	config.Cmd = exec.Command(executable)
	config.Logger = hclog.NewNullLogger()
	client := goplugin.NewClient(config)
	b.Cleanup(client.Kill)
	conn, _, err := plugin.Connect(client, config)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := pluginv1.NewPluginClient(conn).Configure(b.Context(), &pluginv1.ConfigureRequest{}); err != nil {
		b.Fatal(err)
	}
	session, err := stream.NewClient(conn).Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	d := &driver{b: b, session: session, decisions: make(chan *pluginv1.Decision, 1024), ended: make(chan error, 1), on: map[string]int{}, client: client, process: config.Cmd}
	go func() {
		for {
			decision, err := session.Recv()
			if err != nil {
				d.ended <- err
				return
			}
			d.decisions <- decision
		}
	}()
	return d
}

func (d *driver) send(o *pluginv1.Observation) {
	if err := d.session.Send(o); err != nil {
		d.b.Fatal(err)
	}
}

func (d *driver) changes(changes ...*pluginv1.Change) {
	d.revision++
	d.send(&pluginv1.Observation{Observation: &pluginv1.Observation_Changes{Changes: &pluginv1.Changes{Changes: changes, Revision: d.revision, Synced: true}}})
}

func (d *driver) set(watch uint32, name string, kind string, obj runtime.Object) *pluginv1.Change {
	data, err := stream.Encode(encoding, corev1.SchemeGroupVersion.WithKind(kind), obj)
	if err != nil {
		d.b.Fatal(err)
	}
	c := &pluginv1.Change{Type: pluginv1.Change_TYPE_SET, Watch: watch, Name: name, Object: data}
	if kind == "Pod" {
		c.Namespace = "default"
	}
	return c
}

func (d *driver) decision() *pluginv1.Decision {
	select {
	case decision := <-d.decisions:
		return decision
	case err := <-d.ended:
		d.b.Fatal(err)
		return nil
	}
}

func benchPod(name, node string) *corev1.Pod {
	controller := true
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "default", UID: types.UID("uid-" + name), Labels: map[string]string{"app": "bench"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ReplicationController", Name: "bench", UID: "bench", Controller: &controller}},
		},
		Spec: corev1.PodSpec{
			SchedulerName: corev1.DefaultSchedulerName, NodeName: node,
			Containers: []corev1.Container{{Name: "c", Image: "i", Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("64Mi")},
			}}},
		},
	}
}

// BenchmarkPlugin places pods on 5,000 nodes through the real process, over the
// real wire. With -benchtime 50000x it is the figure of the project's goal.
func BenchmarkPlugin(b *testing.B) {
	d := startPlugin(b)
	d.send(&pluginv1.Observation{Observation: &pluginv1.Observation_Start{Start: &pluginv1.Start{Encoding: encoding}}})
	var nodes []*pluginv1.Change
	for i := range benchNodes {
		name := fmt.Sprintf("node-%04d", i)
		nodes = append(nodes, d.set(watchNodes, name, "Node", &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelTopologyZone: fmt.Sprint("zone-", i%3)}},
			Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
				"cpu": resource.MustParse("32"), "memory": resource.MustParse("64Gi"), "pods": resource.MustParse("250"),
			}},
		}))
	}
	for len(nodes) > 0 {
		n := min(len(nodes), 1000)
		d.changes(nodes[:n]...)
		nodes = nodes[n:]
	}
	b.ResetTimer()
	asked, placed := 0, 0
	ask := func(n int) {
		n = min(n, b.N-asked)
		if n == 0 {
			return
		}
		var changes []*pluginv1.Change
		work := &pluginv1.Work{}
		for range n {
			name := fmt.Sprint("pod-", asked)
			changes = append(changes, d.set(watchWaiting, name, "Pod", benchPod(name, "")))
			asked++
			work.Items = append(work.Items, &pluginv1.WorkItem{Id: uint64(asked), Key: &pluginv1.Key{Namespace: "default", Name: name}})
		}
		d.changes(changes...)
		d.send(&pluginv1.Observation{Observation: &pluginv1.Observation_Work{Work: work}})
	}
	ask(512)
	for placed < b.N {
		n := min(benchBatch, asked-placed)
		var changes []*pluginv1.Change
		outcomes := &pluginv1.Outcomes{}
		for range n {
			decision := d.decision()
			name := decision.GetKey().GetName()
			if len(decision.GetActions()) != 1 || decision.GetActions()[0].GetBind() == nil {
				b.Fatalf("%s: %v", name, decision)
			}
			node := decision.GetActions()[0].GetBind().GetNode()
			d.on[node]++
			changes = append(changes, d.set(watchPlaced, name, "Pod", benchPod(name, node)),
				&pluginv1.Change{Type: pluginv1.Change_TYPE_DELETED, Watch: watchWaiting, Namespace: "default", Name: name})
			outcomes.Outcomes = append(outcomes.Outcomes, &pluginv1.Outcome{
				WorkId: decision.GetWorkId(), Key: decision.GetKey(), Results: []*pluginv1.ActionResult{{Name: name, Revision: d.revision + 1}},
			})
		}
		placed += n
		d.changes(changes...)
		d.send(&pluginv1.Observation{Observation: &pluginv1.Observation_Outcomes{Outcomes: outcomes}})
		ask(n)
	}
	b.StopTimer()
	for node, n := range d.on {
		if n > 250 {
			b.Errorf("%s has %d pods", node, n)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pods/s")
	// On a busy machine this says more: what a pod costs the plugin alone, the
	// nodes' snapshot included.
	d.client.Kill()
	if s := d.process.ProcessState; s != nil {
		b.ReportMetric(float64((s.UserTime()+s.SystemTime()).Microseconds())/float64(b.N), "plugin-µs/pod")
	}
}
