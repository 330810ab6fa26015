package loop

import "time"

// Phase of a loop.
type Phase string

const (
	// PhaseIdle: no instance serves the loop.
	PhaseIdle Phase = "Idle"
	// PhaseSyncing: an instance is getting the state.
	PhaseSyncing Phase = "Syncing"
	// PhaseRunning: keys are worked on.
	PhaseRunning Phase = "Running"
	// PhaseFailed: the stream broke and is opened again after a while.
	PhaseFailed Phase = "Failed"
	// PhaseDraining: what is in flight is finished.
	PhaseDraining Phase = "Draining"
)

// Status of a loop, for conditions.
type Status struct {
	Phase Phase
	// Since the phase began.
	Since time.Time
	// Restarts of the stream since the runner was made.
	Restarts int
	// LastError and when it happened; it stays when the loop runs again.
	LastError   string
	LastErrorAt time.Time
}
