package manager

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"github.com/pintle-io/pintle/core/host"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// writeStatus brings an object's status up to date.
func (m *Manager) writeStatus(ctx context.Context, name string) error {
	object := m.object(name)
	if object == nil {
		return nil
	}
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		status := m.statusOf(object)
		if equality.Semantic.DeepEqual(*status, object.Status) {
			return nil
		}
		changed := object.DeepCopy()
		changed.Status = *status
		err := m.opts.Client.Put().Resource(resource).Name(name).SubResource("status").Body(changed).Do(ctx).Error()
		if apierrors.IsConflict(err) {
			fresh := &pintlev1.Plugin{}
			if err := m.opts.Client.Get().Resource(resource).Name(name).Do(ctx).Into(fresh); err != nil {
				return err
			}
			object = fresh
		}
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write the status of Plugin %s: %w", name, err)
	}
	return nil
}

// statusOf returns the status that an object should have as far as this manager
// knows: the rest is taken over.
func (m *Manager) statusOf(object *pintlev1.Plugin) *pintlev1.PluginStatus {
	status := object.Status.DeepCopy()
	process, running := m.processOf(object)
	if process != nil && process.Phase == pintlev1.PluginStopped {
		// It is being forgotten.
		process = nil
	}
	if m.opts.NodeName != "" {
		m.setNode(status, process, running)
		return status
	}
	status.ObservedGeneration = object.Generation
	if m.opts.NodeGone != nil {
		status.Nodes = slices.DeleteFunc(status.Nodes, func(n pintlev1.PluginNodeStatus) bool { return m.opts.NodeGone(n.Node) })
	}
	kind, err := plugin.ParseType(string(object.Spec.Type))
	switch {
	case err == nil && !slices.Contains(m.opts.Types, kind):
		if object.Spec.Mode == pintlev1.PluginDisabled {
			status.PluginProcess = pintlev1.PluginProcess{Phase: pintlev1.PluginStopped}
			status.Ready = "0/0"
			return status
		}
		status.PluginProcess, status.Ready = summarize(status.Nodes)
	case process != nil:
		status.PluginProcess = *process
		status.Ready = "0/1"
		if process.Phase == pintlev1.PluginRunning {
			status.Ready = "1/1"
		}
	default:
		status.PluginProcess = pintlev1.PluginProcess{Phase: pintlev1.PluginPending}
		status.Ready = "0/1"
		if object.Spec.Mode == pintlev1.PluginDisabled {
			status.Phase, status.Ready = pintlev1.PluginStopped, "0/0"
		}
	}
	if running != nil {
		describe(status, running)
	}
	return status
}

// processOf returns the process as this manager knows it, nil where it runs
// none, and what the running one says of itself.
func (m *Manager) processOf(object *pintlev1.Plugin) (*pintlev1.PluginProcess, *pluginv1.DescribeResponse) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.managed[object.Name]
	if p == nil {
		return nil, nil
	}
	process := &pintlev1.PluginProcess{Phase: pintlev1.PluginFailed}
	if p.supervisor != nil {
		process = processStatus(p.state)
	}
	if p.problem != nil {
		process.LastError = errs.Text(p.problem)
	}
	if p.current == nil {
		return process, nil
	}
	return process, p.current.Description()
}

// processStatus is a supervisor's state in the API's form.
func processStatus(s host.State) *pintlev1.PluginProcess {
	process := &pintlev1.PluginProcess{
		Version:    s.Version,
		Contract:   s.ContractVersion,
		PID:        s.PID,
		Restarts:   int32(min(s.Restarts, 1<<31-1)), //nolint:gosec // bounded
		LastError:  s.LastError,
		Executable: s.Executable,
		SHA256:     s.SHA256,
	}
	switch s.Phase {
	case host.PhaseStarting:
		process.Phase = pintlev1.PluginStarting
	case host.PhaseRunning:
		process.Phase = pintlev1.PluginRunning
	case host.PhaseCrashLoop:
		process.Phase = pintlev1.PluginCrashLoop
	case host.PhaseFailed:
		process.Phase = pintlev1.PluginFailed
	case host.PhaseStopped:
		process.Phase = pintlev1.PluginStopped
	}
	if s.RolledBack != "" {
		process.LastError = s.RolledBack
	}
	if s.Unhealthy != "" {
		process.LastError = "unhealthy: " + s.Unhealthy
	}
	if !s.Since.IsZero() {
		// The API keeps seconds.
		since := metav1.NewTime(s.Since.Truncate(1e9))
		process.Since = &since
	}
	return process
}

// setNode sets or removes this node's line.
func (m *Manager) setNode(status *pintlev1.PluginStatus, process *pintlev1.PluginProcess, running *pluginv1.DescribeResponse) {
	at := slices.IndexFunc(status.Nodes, func(n pintlev1.PluginNodeStatus) bool { return n.Node == m.opts.NodeName })
	found := at >= 0
	switch {
	case process == nil && found:
		status.Nodes = slices.Delete(status.Nodes, at, at+1)
	case process == nil:
	case found:
		// What a plugin says of itself is the same on every node that runs the
		// same file, so who starts another one writes it.
		if status.Nodes[at].SHA256 != process.SHA256 && running != nil {
			describe(status, running)
		}
		status.Nodes[at].PluginProcess = *process
	default:
		if running != nil {
			describe(status, running)
		}
		status.Nodes = append(status.Nodes, pintlev1.PluginNodeStatus{Node: m.opts.NodeName, PluginProcess: *process})
		slices.SortFunc(status.Nodes, func(a, b pintlev1.PluginNodeStatus) int { return cmp.Compare(a.Node, b.Node) })
	}
}

// describe copies what a plugin says of itself.
func describe(status *pintlev1.PluginStatus, d *pluginv1.DescribeResponse) {
	status.Capabilities = slices.Clone(d.GetCapabilities())
	status.Declared = nil
	for _, p := range d.GetPermissions() {
		status.Declared = append(status.Declared, pintlev1.PluginPermission{
			APIGroup: p.GetApiGroup(), Resources: p.GetResources(), Verbs: p.GetVerbs(),
		})
	}
}

// badness orders phases: a sum of several is as good as its worst.
func badness(p pintlev1.PluginPhase) int {
	return slices.Index([]pintlev1.PluginPhase{
		pintlev1.PluginStopped, pintlev1.PluginRunning, pintlev1.PluginPending,
		pintlev1.PluginStarting, pintlev1.PluginCrashLoop, pintlev1.PluginFailed,
	}, p)
}

// summarize sums up the lines of nodes.
func summarize(nodes []pintlev1.PluginNodeStatus) (pintlev1.PluginProcess, string) {
	sum := pintlev1.PluginProcess{Phase: pintlev1.PluginPending}
	if len(nodes) == 0 {
		return sum, "0/0"
	}
	worst := nodes[0]
	running := 0
	var versions, contracts []string
	for _, n := range nodes {
		if badness(n.Phase) > badness(worst.Phase) {
			worst = n
		}
		if n.Phase == pintlev1.PluginRunning {
			running++
		}
		versions, contracts = with(versions, n.Version), with(contracts, n.Contract)
		sum.Restarts += n.Restarts
		if n.Since != nil && (sum.Since == nil || sum.Since.Before(n.Since)) {
			sum.Since = n.Since
		}
		if n.LastError != "" && sum.LastError == "" {
			sum.LastError = "node " + n.Node + ": " + n.LastError
		}
	}
	sum.Phase = worst.Phase
	if worst.LastError != "" {
		sum.LastError = "node " + worst.Node + ": " + worst.LastError
	}
	sum.Version, sum.Contract = strings.Join(versions, ","), strings.Join(contracts, ",")
	return sum, fmt.Sprintf("%d/%d", running, len(nodes))
}

// with adds a word that is new and not empty.
func with(words []string, word string) []string {
	if word == "" || slices.Contains(words, word) {
		return words
	}
	words = append(words, word)
	slices.Sort(words)
	return words
}
