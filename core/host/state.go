package host

import (
	"fmt"
	"time"

	"github.com/pintle-io/pintle/sdk/errs"
)

// Phase sums up how a supervised plugin is.
type Phase string

// The phases.
const (
	// PhaseStarting: a process is being started and checked.
	PhaseStarting Phase = "Starting"
	// PhaseRunning: a process passed its checks.
	PhaseRunning Phase = "Running"
	// PhaseCrashLoop: processes failed several times in a row; the next start
	// waits.
	PhaseCrashLoop Phase = "CrashLoop"
	// PhaseFailed: the plugin can't start for a reason that a restart does not
	// cure, such as a wrong checksum. It is tried again all the same, since
	// the reason may be repaired outside.
	PhaseFailed Phase = "Failed"
	// PhaseStopped: it was told to stop.
	PhaseStopped Phase = "Stopped"
)

// State is what is known of a supervised plugin.
type State struct {
	Phase Phase
	// Version of the plugin and ContractVersion of the running process, the
	// latter as "v1". Empty while none runs.
	Version         string
	ContractVersion string
	PID             int
	MutualTLS       bool
	// Executable and SHA256 of what runs, or was last tried.
	Executable string
	SHA256     string
	// Since is when the running process was started.
	Since time.Time
	// Restarts counts the starts that followed a failure.
	Restarts int
	// LastError is why the last process ended or could not start, and Reason
	// the CamelCase word for it. They stay when the next process runs, until a
	// swap.
	LastError string
	Reason    string
	// RetryAt is when the next start is due; zero while none is waited for.
	RetryAt time.Time
	// RolledBack is why the plugin that ran before the last swap is back; empty
	// where it is not.
	RolledBack string
	// Unhealthy is what a running plugin says is wrong; empty when healthy.
	Unhealthy string
}

// incurable are the reasons that a restart does not cure.
func incurable(reason string) bool {
	switch reason {
	case ReasonExecutableNotFound, ReasonNotExecutable, ReasonChecksumMismatch,
		ReasonVersionMismatch, ReasonBadHandshake,
		ReasonWrongType, ReasonWrongName, ReasonConfigRejected:
		return true
	}
	return false
}

// failed is the state after a failure, the so-and-so-manieth in a row.
func (s *State) failed(err error, failures int, retryAt time.Time) {
	s.stopped()
	s.LastError = errs.Text(err)
	s.Reason = errs.Reason(err)
	s.RetryAt = retryAt
	switch {
	case incurable(s.Reason):
		s.Phase = PhaseFailed
	case failures > 1:
		s.Phase = PhaseCrashLoop
	default:
		s.Phase = PhaseStarting
	}
}

// running is the state with an instance that passed its checks.
func (s *State) running(i *Instance) {
	s.Phase = PhaseRunning
	s.Version = i.Description().GetVersion()
	s.ContractVersion = contractName(i.Contract())
	s.PID = i.PID()
	s.MutualTLS = i.MutualTLS()
	s.Executable = i.spec.Executable
	s.SHA256 = i.SHA256()
	s.Since = i.Started()
	s.RetryAt = time.Time{}
	s.Unhealthy = ""
}

// stopped clears what holds for a running process alone.
func (s *State) stopped() {
	s.Version, s.ContractVersion, s.PID, s.MutualTLS, s.Unhealthy = "", "", 0, false, ""
	s.Since, s.RetryAt = time.Time{}, time.Time{}
}

// String is the state in one line for a log.
func (s State) String() string {
	text := string(s.Phase)
	if s.PID != 0 {
		text += fmt.Sprintf(" pid=%d", s.PID)
	}
	if s.LastError != "" && s.Phase != PhaseRunning {
		text += ": " + s.LastError
	}
	return text
}
