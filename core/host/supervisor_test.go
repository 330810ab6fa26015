package host

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

const typeVolume = pluginv1.PluginType_PLUGIN_TYPE_VOLUME

// await waits for a running instance.
func await(t *testing.T, s *Supervisor) (*Instance, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return s.Instance(ctx)
}

func TestBackoff(t *testing.T) {
	b := Backoff{Initial: time.Second, Max: 10 * time.Second}
	for failures, want := range []time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 8 * time.Second, 5: 10 * time.Second, 1000: 10 * time.Second} {
		if want == 0 {
			continue
		}
		if got := b.delay(failures, 0.5); got != want {
			t.Errorf("after %d failures the delay is %s, want %s", failures, got, want)
		}
		low, high := b.delay(failures, 0), b.delay(failures, 0.999)
		if low < want*7/10 || low >= want || high > b.Max || want < b.Max && high <= want {
			t.Errorf("after %d failures the delay is spread from %s to %s", failures, low, high)
		}
	}
}

// TestCrashLoop: the waits between starts grow up to the cap, the state tells,
// and time that a process lived starts the row anew.
func TestCrashLoop(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	h, _ := newHost(t, func(o *Options) {
		o.Clock = clock
		o.Backoff = Backoff{Initial: time.Second, Max: 8 * time.Second, StableAfter: time.Minute}
	})
	dir := t.TempDir()
	s := h.Supervise(spec(t, "exit", "HOST_TEST_SWITCH=dir="+dir), nil)
	waits := func(restarts int) State {
		t.Helper()
		eventually(t, "the next start waits", func() bool {
			st := s.State()
			return st.Restarts == restarts && !st.RetryAt.IsZero() && clock.HasWaiters()
		})
		return s.State()
	}
	for restarts, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second} {
		st := waits(restarts)
		wait := st.RetryAt.Sub(clock.Now())
		if wait < want*7/10 || wait > want*13/10 || wait > 8*time.Second {
			t.Errorf("wait %d is %s, want about %s", restarts, wait, want)
		}
		if phase := st.Phase; restarts > 0 && phase != PhaseCrashLoop || restarts == 0 && phase != PhaseStarting {
			t.Errorf("after failure %d the phase is %s", restarts+1, phase)
		}
		if st.Reason != ReasonExited || !strings.Contains(st.LastError, "can't find my trousers") || st.PID != 0 {
			t.Errorf("the state is %+v", st)
		}
		clock.Step(wait)
	}

	// Corrected, it comes up, lives for long, and dies: the wait is short again.
	waits(5)
	if err := s.Swap(t.Context(), spec(t, "ok")); err != nil {
		t.Fatal(err)
	}
	i, err := await(t, s)
	if err != nil {
		t.Fatal(err)
	}
	for want, lived := range []time.Duration{0, 2 * time.Minute} {
		clock.Step(lived)
		_ = syscall.Kill(i.PID(), syscall.SIGKILL)
		st := waits(5 + want)
		if wait := st.RetryAt.Sub(clock.Now()); wait > 1300*time.Millisecond {
			t.Errorf("a process that lived for %s is restarted after %s", lived, wait)
		}
		if !strings.Contains(st.LastError, "signal: killed") {
			t.Errorf("the last error is %q", st.LastError)
		}
		clock.Step(2 * time.Second)
		if i, err = await(t, s); err != nil {
			t.Fatal(err)
		}
	}
	if st := s.State(); st.Phase != PhaseRunning || st.Version != "1.2.3" || st.ContractVersion != "v1" || st.PID != i.PID() || st.LastError == "" {
		t.Errorf("running again, the state is %+v", st)
	}
}

func TestIncurableFailure(t *testing.T) {
	h, _ := newHost(t, nil)
	path := filepath.Join(t.TempDir(), "later")
	missing := spec(t, "ok")
	self := missing.Executable
	missing.Executable = path
	s := h.Supervise(missing, nil)
	eventually(t, "the phase is Failed", func() bool { return s.State().Phase == PhaseFailed })
	if st := s.State(); st.Reason != ReasonExecutableNotFound || !strings.Contains(st.LastError, path) {
		t.Errorf("the state is %+v", st)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Instance(ctx); !errs.Is(err, errs.ClassUnavailable) || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("waiting for it gives %v", err)
	}
	// It is repaired outside.
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	if _, err := await(t, s); err != nil {
		t.Errorf("after the repair: %v", err)
	}
}

// hanging are ways for a living process not to answer.
func TestHungPluginIsRestarted(t *testing.T) {
	for name, hang := range map[string]func(pid int, dir string) error{
		"stopped": func(pid int, _ string) error { return syscall.Kill(pid, syscall.SIGSTOP) },
		"in Health": func(_ int, dir string) error {
			return os.WriteFile(dir+"/health", []byte("hang"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := newHost(t, func(o *Options) {
				o.HealthInterval, o.HealthTimeout, o.HealthFailures = 50*time.Millisecond, 500*time.Millisecond, 2
			})
			dir := t.TempDir()
			s := h.Supervise(spec(t, "ok", "HOST_TEST_SWITCH=dir="+dir), nil)
			i, err := await(t, s)
			if err != nil {
				t.Fatal(err)
			}
			if err := hang(i.PID(), dir); err != nil {
				t.Fatal(err)
			}
			select {
			case <-i.Done():
			case <-time.After(30 * time.Second):
				t.Fatal("the hung process lives")
			}
			if !strings.Contains(i.Err().Error(), "did not answer 2 health checks in a row") {
				t.Errorf("it ended because %v", i.Err())
			}
			if err := os.RemoveAll(dir + "/health"); err != nil {
				t.Fatal(err)
			}
			next, err := await(t, s)
			if err != nil {
				t.Fatal(err)
			}
			if next.PID() == i.PID() {
				t.Error("the instance is the same")
			}
			if st := s.State(); st.Reason != ReasonHung || st.Restarts == 0 {
				t.Errorf("the state is %+v", st)
			}
		})
	}
}

// TestUnhealthyIsNoHang: a plugin that answers that it is unhealthy is shown as
// such and left alone.
func TestUnhealthyIsNoHang(t *testing.T) {
	h, _ := newHost(t, func(o *Options) { o.HealthInterval = 20 * time.Millisecond })
	dir := t.TempDir()
	s := h.Supervise(spec(t, "ok", "HOST_TEST_SWITCH=dir="+dir), nil)
	i, err := await(t, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/health", []byte("the server is away"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the state says unhealthy", func() bool { return s.State().Unhealthy == "the server is away" })
	if err := os.Remove(dir + "/health"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the state says healthy", func() bool { return s.State().Unhealthy == "" })
	if s.Current() != i || s.State().Phase != PhaseRunning {
		t.Errorf("the plugin was restarted: %+v", s.State())
	}
}

func TestSwap(t *testing.T) {
	h, _ := newHost(t, nil)
	var mu sync.Mutex
	var changes []Change
	var phases []Phase
	s := h.SuperviseWith(spec(t, "ok"), Hooks{
		Instance: func(c Change) {
			mu.Lock()
			defer mu.Unlock()
			changes = append(changes, c)
		},
		State: func(st State) {
			mu.Lock()
			defer mu.Unlock()
			if len(phases) == 0 || phases[len(phases)-1] != st.Phase {
				phases = append(phases, st.Phase)
			}
		},
	})
	old, err := await(t, s)
	if err != nil {
		t.Fatal(err)
	}

	// One that fails its checks changes nothing.
	if err := s.Swap(t.Context(), spec(t, "panic")); err == nil || !strings.Contains(err.Error(), "panic: the author forgot") {
		t.Errorf("a swap to a plugin that panics gives %v", err)
	}
	if s.Current() != old || old.Err() != nil || s.State().Phase != PhaseRunning || s.Spec().Env[0] != envMode+"=ok" {
		t.Errorf("after a failed swap the state is %+v", s.State())
	}

	if err := s.Swap(t.Context(), spec(t, "ok", "SWAPPED=1")); err != nil {
		t.Fatal(err)
	}
	next := s.Current()
	if next == old || next == nil {
		t.Fatal("the instance is the old one")
	}
	if got, err := await(t, s); got != next || err != nil {
		t.Errorf("waiting gives %v, %v", got, err)
	}
	// The old one serves until it is released.
	if healthy, _, err := old.Health(t.Context()); err != nil || !healthy {
		t.Errorf("the old instance before its release: %v %v", healthy, err)
	}
	mu.Lock()
	last := changes[len(changes)-1]
	mu.Unlock()
	if last.Instance != next || last.Old != old {
		t.Fatalf("the hook was told %+v", last)
	}
	last.Release()
	<-old.Done()
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if alive(next.PID()) {
		t.Error("the process lives after Stop")
	}
	if err := s.Swap(t.Context(), spec(t, "ok")); err == nil {
		t.Error("a stopped supervisor swaps")
	}
	if _, err := await(t, s); !errs.Is(err, errs.ClassPluginGone) {
		t.Errorf("waiting on a stopped supervisor gives %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := changes[len(changes)-1]; got.Instance != nil || got.Err == nil {
		t.Errorf("the end is told as %+v", got)
	}
	if want := []Phase{PhaseRunning, PhaseStopped}; len(phases) != 2 || phases[0] != want[0] || phases[1] != want[1] {
		t.Errorf("the phases were %v, want %v", phases, want)
	}
}

// TestSwapUnderFailure: a swap gets through while the old one is starting,
// waiting or crashing.
func TestSwapUnderFailure(t *testing.T) {
	for _, mode := range []string{"silent", "exit", "configure-hang"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			h, _ := newHost(t, func(o *Options) { o.Backoff = Backoff{Initial: time.Hour, Max: time.Hour} })
			s := h.Supervise(spec(t, mode), nil)
			eventually(t, "the process was started", func() bool {
				records, _ := filepath.Glob(h.opts.RunDir + "/*" + recordSuffix)
				return len(records) > 0 || s.State().LastError != ""
			})
			if err := s.Swap(t.Context(), spec(t, "exit")); err == nil || !strings.Contains(err.Error(), "trousers") {
				t.Errorf("a swap to a failing plugin gives %v", err)
			}
			if err := s.Swap(t.Context(), spec(t, "ok")); err != nil {
				t.Error(err)
			}
			if s.State().Phase != PhaseRunning {
				t.Errorf("the state is %+v", s.State())
			}
		})
	}
}

// TestRollback: one that passes its checks and then crashes again and again is
// replaced by the one before.
func TestRollback(t *testing.T) {
	h, _ := newHost(t, func(o *Options) { o.HealthInterval = 10 * time.Millisecond })
	dir := t.TempDir()
	s := h.Supervise(spec(t, "ok"), nil)
	if _, err := await(t, s); err != nil {
		t.Fatal(err)
	}
	if err := s.Swap(t.Context(), spec(t, "ok", "HOST_TEST_SWITCH=dir="+dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/health", []byte("exit"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the one before is back", func() bool {
		st := s.State()
		return st.Phase == PhaseRunning && st.RolledBack != ""
	})
	if st := s.State(); !strings.Contains(st.RolledBack, "failed 3 times") || !strings.Contains(st.RolledBack, "exit status 9") {
		t.Errorf("the state says %q", st.RolledBack)
	}
	if len(s.Spec().Env) != 1 {
		t.Errorf("it runs %v", s.Spec())
	}
	// It does not roll back from there: it is what the operator had.
	_ = syscall.Kill(s.State().PID, syscall.SIGKILL)
	eventually(t, "it is restarted", func() bool { return s.State().Restarts > 2 && s.State().Phase == PhaseRunning })
	if err := s.Swap(t.Context(), spec(t, "ok", "BETTER=1")); err != nil {
		t.Fatal(err)
	}
	if st := s.State(); st.RolledBack != "" {
		t.Errorf("after the next swap the state still says %q", st.RolledBack)
	}
}

// TestManySwaps swaps back and forth while users call: none of them may see an
// error, since each call is made on an instance that is not released yet.
func TestManySwaps(t *testing.T) {
	h, _ := newHost(t, nil)
	var mu sync.RWMutex // a user holds it for a call, Release waits for users
	var current *Instance
	s := h.SuperviseWith(spec(t, "ok"), Hooks{Instance: func(c Change) {
		go func() {
			mu.Lock()
			defer mu.Unlock()
			if c.Instance != nil && c.Instance.Err() == nil {
				current = c.Instance
			}
			c.Release()
		}()
	}})
	if _, err := await(t, s); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the user has an instance", func() bool {
		mu.RLock()
		defer mu.RUnlock()
		return current != nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	var users sync.WaitGroup
	calls := 0
	users.Go(func() {
		for ctx.Err() == nil {
			mu.RLock()
			_, _, err := current.Health(context.Background())
			mu.RUnlock()
			if err != nil {
				t.Errorf("call %d: %v", calls, err)
				return
			}
			calls++
		}
	})
	for range 10 {
		if err := s.Swap(t.Context(), spec(t, "ok")); err != nil {
			t.Error(err)
		}
		pid := s.State().PID
		eventually(t, "the user moved on", func() bool {
			mu.RLock()
			defer mu.RUnlock()
			return current.PID() == pid
		})
	}
	cancel()
	users.Wait()
	t.Logf("%d calls during 10 swaps", calls)
}

func TestCloseStopsEverything(t *testing.T) {
	h, _ := newHost(t, nil)
	s := h.Supervise(spec(t, "ok"), nil)
	i, err := await(t, s)
	if err != nil {
		t.Fatal(err)
	}
	loose, err := h.Start(t.Context(), spec(t, "ok"))
	if err != nil {
		t.Fatal(err)
	}
	starting := h.Supervise(spec(t, "silent"), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		t.Error(err)
	}
	for _, pid := range []int{i.PID(), loose.PID()} {
		if alive(pid) {
			t.Errorf("process %d lives", pid)
		}
	}
	if starting.State().Phase != PhaseStopped || s.State().Phase != PhaseStopped {
		t.Errorf("the states are %v and %v", starting.State(), s.State())
	}
	if _, err := h.Start(t.Context(), spec(t, "ok")); err == nil {
		t.Error("a closed host starts plugins")
	}
	if late := h.Supervise(spec(t, "ok"), nil); late.Stop(ctx) != nil || late.State().Phase != PhaseStopped {
		t.Error("a closed host supervises plugins")
	}
}
