package manager

import (
	"cmp"
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/core/host"
	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

// managed is what the manager knows of one object. Its fields are guarded by
// Manager.mu; only the worker that has the object's name changes supervisor,
// identity and spec.
type managed struct {
	object     *pintlev1.Plugin // as it was reconciled last
	identity   identity
	spec       host.Spec        // as it was swapped to last; a rollback does not change it
	supervisor *host.Supervisor // nil while a problem keeps it from running
	current    *host.Instance   // what listeners were told last
	state      host.State       // as the supervisor told last
	problem    error            // why the object as it is now can't be run
}

// reconcile makes what runs follow one object.
func (m *Manager) reconcile(ctx context.Context, name string) error {
	object := m.object(name)
	if object == nil || !m.wants(object) {
		m.retire(ctx, name)
		return nil
	}
	id, err := identify(object)
	if before := m.lookup(name); before != nil && before.identity != (identity{}) && before.identity != id {
		m.retire(ctx, name)
	}
	if err != nil {
		m.setProblem(name, object, err)
		return nil
	}
	p, err := m.claim(name, object, id)
	if err != nil {
		if running := m.lookup(name); running != nil && running.supervisor != nil {
			m.retire(ctx, name)
		}
		m.setProblem(name, object, err)
		return nil
	}
	spec, err := m.specOf(object, id)
	if err != nil {
		m.setProblem(name, object, err)
		return retriable(err)
	}
	switch {
	case p.supervisor == nil:
		m.start(name, p, object, spec)
		return nil
	case !sameSpec(p.spec, spec):
		return m.swap(ctx, name, p, object, spec)
	}
	m.setProblem(name, object, nil)
	m.tellObject(p, object)
	return nil
}

// succeeds tells whether a plugin can be swapped for one of another name. Loops
// are found by their object, so theirs can; the plugins of a node are found by
// their own names, under which somebody may be using them.
func (m *Manager) succeeds(before, after identity) bool {
	return m.opts.NodeName == "" && before.kind == after.kind
}

// retriable returns the error where trying again without a change of the object
// makes sense.
func retriable(err error) error {
	if errs.Is(err, errs.ClassInvalidArgument) {
		return nil
	}
	return err
}

func (m *Manager) lookup(name string) *managed {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.managed[name]
}

// claim gives the identity to the object, unless an older one claims it too. A
// younger one that has it is told to give it up, and the object is looked at
// again when it did.
func (m *Manager) claim(name string, object *pintlev1.Plugin, id identity) (*managed, error) {
	rival := m.olderRival(object, id)
	m.mu.Lock()
	defer m.mu.Unlock()
	if owner := m.owners[id]; rival == "" && owner != nil && owner != m.managed[name] {
		rival = owner.object.Name
		m.work.Add(rival)
	}
	if rival != "" {
		return nil, errs.FailedPrecondition("Plugin %s runs %s here already", rival, id).
			WithReason("Duplicate").WithHint("delete or disable one of the two")
	}
	p := m.managed[name]
	if p == nil {
		p = &managed{}
		m.managed[name] = p
	}
	if p.object == nil {
		p.object = object
	}
	p.identity = id
	m.owners[id] = p
	return p, nil
}

// olderRival returns the name of an older object that claims the identity and
// is wanted here, or "".
func (m *Manager) olderRival(object *pintlev1.Plugin, id identity) string {
	for _, obj := range m.informer.GetStore().List() {
		other, ok := obj.(*pintlev1.Plugin)
		if !ok || other.Name == object.Name || !older(other, object) || !m.wants(other) {
			continue
		}
		if otherID, err := identify(other); err == nil && otherID == id {
			return other.Name
		}
	}
	return ""
}

// older orders objects by age, and by name where they are of the same second.
func older(a, b *pintlev1.Plugin) bool {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name)) < 0
}

// setProblem notes why an object can't be run as it is now, or that it can.
func (m *Manager) setProblem(name string, object *pintlev1.Plugin, err error) {
	m.mu.Lock()
	p := m.managed[name]
	if p == nil {
		p = &managed{}
		m.managed[name] = p
	}
	news := err != nil && (p.problem == nil || p.problem.Error() != err.Error())
	p.problem = err
	if p.object == nil || err != nil {
		p.object = object
	}
	m.mu.Unlock()
	if news {
		m.event(object, corev1.EventTypeWarning, errs.Reason(err), errs.Text(err))
	}
	m.statuses.Add(name)
}

// start begins to supervise an object's plugin.
func (m *Manager) start(name string, p *managed, object *pintlev1.Plugin, spec host.Spec) {
	m.mu.Lock()
	p.object, p.spec, p.problem = object, spec, nil
	p.state = host.State{Phase: host.PhaseStarting, Executable: spec.Executable}
	m.mu.Unlock()
	supervisor := m.opts.Host.SuperviseWith(spec, host.Hooks{
		State:    func(s host.State) { m.noteState(name, p, s) },
		Instance: func(c host.Change) { m.tellInstance(p, c) },
	})
	m.mu.Lock()
	p.supervisor = supervisor
	m.mu.Unlock()
	m.statuses.Add(name)
}

// swap brings a running plugin to a new spec. While it fails, the old one goes
// on, and the swap is tried again with backoff.
func (m *Manager) swap(ctx context.Context, name string, p *managed, object *pintlev1.Plugin, spec host.Spec) error {
	m.mu.Lock()
	before := p.state
	p.object = object
	m.mu.Unlock()
	m.log.Info("swapping a plugin", "plugin", spec.ID(), "executable", spec.Executable, "object", name)
	err := p.supervisor.Swap(ctx, spec)
	if ctx.Err() != nil {
		return nil
	}
	after := p.supervisor.State()
	adopted := p.supervisor.Spec()
	m.mu.Lock()
	p.spec = adopted
	m.settle(p, identity{adopted.Type, adopted.Name})
	m.mu.Unlock()
	switch {
	case err == nil:
		m.setProblem(name, object, nil)
		m.event(object, corev1.EventTypeNormal, "Swapped", fmt.Sprintf("version %s (process %d) took over from %s", after.Version, after.PID, describeProcess(before)))
		m.tellObject(p, object)
		return nil
	case sameSpec(adopted, spec):
		// Nothing ran that could be kept: the supervisor goes on with the new
		// one and says how it fares.
		m.setProblem(name, object, nil)
		return nil
	}
	err = errs.New(errs.ClassOf(err), errs.Reason(err), errs.Hint(err),
		fmt.Errorf("the swap failed, %s runs on: %w", describeProcess(before), err))
	m.setProblem(name, object, err)
	return err
}

// settle gives an object the identity of what runs, and frees any other that it
// had. m.mu is held.
func (m *Manager) settle(p *managed, id identity) {
	for other, owner := range m.owners {
		if owner == p && other != id {
			delete(m.owners, other)
		}
	}
	p.identity = id
	m.owners[id] = p
}

func describeProcess(s host.State) string {
	if s.PID == 0 {
		return "none"
	}
	return fmt.Sprintf("version %s (process %d)", s.Version, s.PID)
}

// retire stops an object's plugin and forgets the object.
func (m *Manager) retire(ctx context.Context, name string) {
	p := m.lookup(name)
	if p == nil {
		m.statuses.Add(name)
		return
	}
	if p.supervisor != nil {
		stop, cancel := context.WithTimeout(ctx, stopTimeout)
		_ = p.supervisor.Stop(stop)
		cancel()
		m.event(p.object, corev1.EventTypeNormal, "Stopped", "the plugin was stopped")
	}
	m.mu.Lock()
	delete(m.managed, name)
	freed := m.owners[p.identity] == p
	if freed {
		delete(m.owners, p.identity)
	}
	m.mu.Unlock()
	m.statuses.Add(name)
	if freed {
		// Another object may have waited for the identity.
		m.Resync()
	}
}

// noteState takes what a supervisor tells.
func (m *Manager) noteState(name string, p *managed, s host.State) {
	m.mu.Lock()
	before := p.state
	p.state = s
	object := p.object
	m.mu.Unlock()
	m.statuses.Add(name)
	switch {
	case s.Phase == host.PhaseRunning && before.PID != s.PID:
		m.event(object, corev1.EventTypeNormal, "Started", fmt.Sprintf("%s runs (%s)", describeProcess(s), s.Executable))
	case s.LastError != "" && !s.RetryAt.IsZero() && before.RetryAt != s.RetryAt:
		m.event(object, corev1.EventTypeWarning, s.Reason, s.LastError)
	}
	if s.RolledBack != "" && before.RolledBack != s.RolledBack {
		m.event(object, corev1.EventTypeWarning, "RolledBack", s.RolledBack)
	}
	if s.Unhealthy != "" && before.Unhealthy != s.Unhealthy {
		m.event(object, corev1.EventTypeWarning, host.ReasonUnhealthy, s.Unhealthy)
	}
}

// maxEventMessage is the API's limit on the message of an event, in bytes.
const maxEventMessage = 1024

func (m *Manager) event(object *pintlev1.Plugin, kind, reason, message string) {
	if m.opts.Recorder == nil || object == nil {
		return
	}
	if len(message) > maxEventMessage {
		message = message[:maxEventMessage-3] + "..."
	}
	m.opts.Recorder.Event(object, kind, reason, message)
}
