package scheduler

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// model is the truth in a small cluster, changed at random, beside a scheduler
// that is told of it as the core tells: late, and with changes put together.
type model struct {
	*cluster
	rand *rand.Rand
	// nodes and pods are the truth; pods by name.
	nodes map[string]*corev1.Node
	pods  map[string]*corev1.Pod
	// untold are the pods and nodes that changed and were not shown yet.
	untold, untoldNodes map[string]bool
	// shown is what the scheduler was shown last: which watch has which pod.
	shown map[string]uint32
	// flying are decisions that were not applied yet, by pod.
	flying map[string]*pluginv1.Decision
	// landed are outcomes that were not told yet.
	landed []*pluginv1.Outcome
	// due are the pods that the core would ask about.
	due map[string]bool
	uid int
	// cores of each node that ever was.
	cores map[string]int
}

const (
	modelNodes = 4
	modelPods  = 14
)

func newModel(t *testing.T, seed uint64) *model {
	profile := Profile{Scores: append(Wishes(), Weighted{OwnerSpread{}, 2}, Weighted{LeastAllocated{}, 1})}
	return &model{
		cluster: newCluster(t, profile), rand: rand.New(rand.NewPCG(seed, 1)),
		nodes: map[string]*corev1.Node{}, pods: map[string]*corev1.Pod{}, untold: map[string]bool{}, untoldNodes: map[string]bool{},
		shown: map[string]uint32{}, flying: map[string]*pluginv1.Decision{}, due: map[string]bool{}, cores: map[string]int{},
	}
}

func (m *model) pick(n int, prefix string) string { return prefix + strconv.Itoa(m.rand.IntN(n)) }

// step changes something, or moves something along.
func (m *model) step() {
	switch m.rand.IntN(12) {
	case 0:
		m.changeNode()
	case 1, 2, 3:
		m.changePod()
	case 4, 5, 6:
		m.askSome()
	case 7, 8, 9:
		m.land()
	default:
		m.tell()
	}
}

func (m *model) changeNode() {
	name := m.pick(modelNodes, "n")
	if m.nodes[name] != nil && m.rand.IntN(4) == 0 {
		delete(m.nodes, name)
	} else {
		// Never fewer, nor when it comes back: a node that shrinks under a
		// decision in flight is overcommitted by nobody's fault.
		m.cores[name] = max(m.cores[name], 2+m.rand.IntN(3))
		m.nodes[name] = nodeWith(name, zone(m.pick(2, "z")), func(n *corev1.Node) {
			n.Status.Allocatable["cpu"] = list("x", strconv.Itoa(m.cores[name]))["x"]
			n.Status.Allocatable["pods"] = list("x", "5")["x"]
			n.Spec.Unschedulable = m.rand.IntN(6) == 0
		})
	}
	m.untoldNodes[name] = true
}

func (m *model) changePod() {
	name := m.pick(modelPods, "p")
	m.untold[name] = true
	p := m.pods[name]
	switch {
	case p == nil:
		m.uid++
		m.pods[name] = testPod(name, []string{"500m", "1", "2"}[m.rand.IntN(3)], app(m.pick(3, "app")), m.someTerms(), func(p *corev1.Pod) {
			p.UID = types.UID("uid-" + strconv.Itoa(m.uid))
		})
		m.due[name] = true
	case m.rand.IntN(2) == 0:
		delete(m.pods, name)
		m.due[name] = true
	default:
		p = p.DeepCopy()
		p.Labels["app"] = m.pick(3, "app")
		m.pods[name] = p
		if p.Spec.NodeName == "" {
			m.due[name] = true
		}
	}
}

func (m *model) someTerms() podChange {
	switch m.rand.IntN(8) {
	case 0:
		return apart(about(m.pick(3, "app"), "zone"))
	case 1:
		return beside(about(m.pick(3, "app"), "zone"))
	case 2:
		return spreadOver("zone")
	case 3:
		return port("", 80, corev1.ProtocolTCP)
	case 4:
		return likes(3, about(m.pick(3, "app"), "zone"))
	}
	return func(*corev1.Pod) {}
}

// askSome asks about pods that are due, one at a time each, and only when what
// their last decision did was told.
func (m *model) askSome() {
	for _, name := range slices.Sorted(maps.Keys(m.due)) {
		if m.flying[name] != nil || m.untold[name] || slices.ContainsFunc(m.landed, func(o *pluginv1.Outcome) bool { return o.GetKey().GetName() == name }) {
			continue
		}
		if m.rand.IntN(3) == 0 {
			continue
		}
		delete(m.due, name)
		m.work++
		*m.out = nil
		if err := m.h.Work(m.t.Context(), []*pluginv1.WorkItem{{Id: m.work, Key: &pluginv1.Key{Namespace: "default", Name: name}}}); err != nil {
			m.t.Fatal(err)
		}
		m.heed()
	}
}

// heed takes what the scheduler sent.
func (m *model) heed() {
	for _, d := range *m.out {
		for _, k := range d.GetEnqueue() {
			m.due[k.GetName()] = true
		}
		if d.GetWorkId() != 0 {
			m.flying[d.GetKey().GetName()] = d
		}
	}
	*m.out = nil
}

// land applies a decision, as the API does: to a pod of that uid without a node.
func (m *model) land() {
	for _, name := range slices.Sorted(maps.Keys(m.flying)) {
		if m.rand.IntN(2) == 0 {
			continue
		}
		d := m.flying[name]
		delete(m.flying, name)
		outcome := &pluginv1.Outcome{WorkId: d.GetWorkId(), Key: d.GetKey()}
		if bind := d.GetActions(); len(bind) > 0 && bind[0].GetBind() != nil {
			outcome.Results = []*pluginv1.ActionResult{m.bind(name, bind[0].GetBind())}
			if outcome.GetResults()[0].GetCode() != 0 {
				m.due[name] = true
			}
		}
		m.landed = append(m.landed, outcome)
	}
}

func (m *model) bind(name string, b *pluginv1.Bind) *pluginv1.ActionResult {
	p := m.pods[name]
	if p == nil || string(p.UID) != b.GetPod().GetUid() || p.Spec.NodeName != "" || m.rand.IntN(5) == 0 {
		return &pluginv1.ActionResult{Code: 409, Reason: "Conflict"}
	}
	p = p.DeepCopy()
	p.Spec.NodeName = b.GetNode()
	m.pods[name] = p
	m.untold[name] = true
	m.checkTruth(b.GetNode())
	return &pluginv1.ActionResult{Name: name, Revision: m.revision + 1}
}

// checkTruth fails where a node has more than it can hold, whatever the
// scheduler knows.
func (m *model) checkTruth(node string) {
	n := m.nodes[node]
	if n == nil {
		return
	}
	var cpu int64
	pods, ports := 0, 0
	for _, p := range m.pods {
		if p.Spec.NodeName == node {
			pods++
			cpu += newPod(p).Requests.MilliCPU
			ports += len(newPod(p).ports)
		}
	}
	if q := n.Status.Allocatable["cpu"]; cpu > q.MilliValue() || pods > 5 || ports > 1 {
		m.t.Fatalf("%s has %d of %d millicores, %d pods and %d times port 80", node, cpu, q.MilliValue(), pods, ports)
	}
}

// tell shows what changed, then what became of decisions, in the core's order:
// objects that move between watches are never absent from both.
func (m *model) tell() {
	var changes, gone []*pluginv1.Change
	for _, name := range slices.Sorted(maps.Keys(m.untoldNodes)) {
		if n := m.nodes[name]; n != nil {
			changes = append(changes, setChange(m.t, watchNodes, n))
		} else {
			changes = append(changes, &pluginv1.Change{Type: pluginv1.Change_TYPE_DELETED, Watch: watchNodes, Name: name})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.untold)) {
		before, was := m.shown[name]
		if p := m.pods[name]; p != nil {
			watch := uint32(watchWaiting)
			if p.Spec.NodeName != "" {
				watch = watchPlaced
			}
			changes = append(changes, setChange(m.t, watch, p))
			m.shown[name] = watch
			was = was && before != watch
		} else {
			delete(m.shown, name)
		}
		if was {
			gone = append(gone, &pluginv1.Change{Type: pluginv1.Change_TYPE_DELETED, Watch: before, Namespace: "default", Name: name})
		}
	}
	// A pod that was made anew after it was placed is first gone, then there.
	if slices.ContainsFunc(gone, func(c *pluginv1.Change) bool { return c.GetWatch() == watchPlaced }) {
		changes = append(gone, changes...)
	} else {
		changes = append(changes, gone...)
	}
	m.untold, m.untoldNodes = map[string]bool{}, map[string]bool{}
	*m.out = nil
	m.change(changes...)
	m.heed()
	if err := m.h.Outcomes(m.landed); err != nil {
		m.t.Fatal(err)
	}
	m.landed = nil
	m.heed()
	m.compare()
}

// compare sets the snapshot beside one made from scratch of what was shown and
// is assumed.
func (m *model) compare() {
	m.t.Helper()
	fresh := NewSnapshot()
	for _, n := range m.nodes {
		fresh.setNode(n)
	}
	for _, p := range m.pods {
		if p.Spec.NodeName != "" {
			fresh.put(newPod(p))
		} else {
			fresh.waiting["default/"+p.Name] = newPod(p)
		}
	}
	for _, a := range m.h.assumed {
		fresh.put(a.pod)
	}
	got, want := describe(m.h.view), describe(fresh)
	if !reflect.DeepEqual(got, want) {
		for k := range want {
			if !reflect.DeepEqual(got[k], want[k]) {
				m.t.Errorf("%s:\ngot  %+v\nwant %+v", k, got[k], want[k])
			}
		}
		for k := range got {
			if _, ok := want[k]; !ok {
				m.t.Errorf("%s: %+v is there and should not be", k, got[k])
			}
		}
		m.t.FailNow()
	}
}

// describe is everything in a snapshot that decisions depend on, but the order
// of nodes.
func describe(s *Snapshot) map[string]any {
	all := map[string]any{"waiting": slices.Sorted(maps.Keys(s.waiting)), "anti": slices.Sorted(maps.Keys(s.withAnti)), "terms": slices.Sorted(maps.Keys(s.withTerms))}
	for key, p := range s.placed {
		all["pod "+key] = fmt.Sprint(p.Node, p.UID, p.Labels, p.Requests)
	}
	for name, n := range s.nodes {
		all["node "+name] = fmt.Sprint(n.known, n.Labels, n.Unschedulable, n.Allocatable, n.MaxPods, n.Requested, n.load,
			slices.Sorted(maps.Keys(n.Pods)), n.owners, slices.Sorted(maps.Keys(n.withPorts)))
		if n.known && s.order[s.place[name]] != n {
			all["node "+name] = "is not where it is said to be"
		}
	}
	all["places"] = fmt.Sprint(len(s.order), len(s.place))
	return all
}

// settled lets everything come to rest, and checks that no pod waits that fits.
func (m *model) settled() {
	for range 200 {
		if len(m.due)+len(m.flying)+len(m.landed)+len(m.untold)+len(m.untoldNodes) == 0 {
			break
		}
		m.tell()
		m.askSome()
		m.land()
	}
	if len(m.due)+len(m.flying) > 0 {
		m.t.Fatalf("no rest: due %v, flying %v", m.due, m.flying)
	}
	if len(m.h.assumed) > 0 {
		m.t.Errorf("%d pods are assumed at rest", len(m.h.assumed))
	}
	d := decider{profile: m.h.decider.profile, view: m.h.view}
	for key, pod := range m.h.view.waiting {
		if v := d.decide(pod); v.node != nil {
			m.t.Errorf("%s waits though it fits on %s", key, v.node.Name)
		} else if m.h.stuck[key] == nil {
			m.t.Errorf("%s waits and nothing would wake it", key)
		}
	}
	for key := range m.h.stuck {
		if m.h.view.waiting[key] == nil {
			m.t.Errorf("%s is stuck though it is gone", key)
		}
	}
}

// TestModel changes a cluster at random under a scheduler. PINTLE_SOAK is the
// number of histories, where more than a few are wanted.
func TestModel(t *testing.T) {
	histories := 60
	if n, err := strconv.Atoi(os.Getenv("PINTLE_SOAK")); err == nil && n > 1 {
		histories = n
	}
	for seed := range histories {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			m := newModel(t, uint64(seed))
			for range 300 {
				m.step()
			}
			m.settled()
		})
	}
}
