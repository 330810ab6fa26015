package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

// TestPluginGone: a call under way when the process dies fails with its own
// class, and so do later ones.
func TestPluginGone(t *testing.T) {
	h, _ := newHost(t, func(o *Options) { o.HealthTimeout = time.Minute })
	dir := t.TempDir()
	i, err := h.Start(t.Context(), spec(t, "ok", "HOST_TEST_SWITCH=dir="+dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/health", []byte("hang"), 0o600); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, _, err := i.Health(t.Context())
		failed <- err
	}()
	time.Sleep(20 * time.Millisecond) // so that the call is most likely under way; either way it must fail
	_ = syscall.Kill(i.PID(), syscall.SIGKILL)
	if err := <-failed; !errs.Is(err, errs.ClassPluginGone) || !strings.Contains(err.Error(), "plugin volume/test is gone") {
		t.Errorf("the call under way gives %v (%s)", err, errs.ClassOf(err))
	}
	<-i.Done()
	_, _, err = i.Health(t.Context())
	if !errs.Is(err, errs.ClassPluginGone) || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("a later call gives %v (%s)", err, errs.ClassOf(err))
	}
}

// TestErrorsCrossTheWire: class, hint and message of a plugin's error arrive.
func TestErrorsCrossTheWire(t *testing.T) {
	h, _ := newHost(t, nil)
	i, err := h.Start(t.Context(), spec(t, "ok"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = pluginv1.NewPluginClient(i.Conn()).Configure(t.Context(), &pluginv1.ConfigureRequest{})
	if !errs.Is(err, errs.ClassFailedPrecondition) || errs.Reason(err) != "AlreadyConfigured" || !strings.Contains(err.Error(), "configured already") {
		t.Errorf("a second Configure gives %v (%s, %s)", err, errs.ClassOf(err), errs.Reason(err))
	}
}

// TestWithoutTLS: a plugin that was not written with the Go SDK sends no
// certificate, and is talked to without TLS.
func TestWithoutTLS(t *testing.T) {
	h, _ := newHost(t, nil)
	i, err := h.Start(t.Context(), spec(t, "plain"))
	if err != nil {
		t.Fatal(err)
	}
	if i.MutualTLS() {
		t.Error("mutual TLS is claimed")
	}
}

// TestScript: a script is a plugin like any other, although its interpreter
// opens it by name.
func TestScript(t *testing.T) {
	h, _ := newHost(t, nil)
	s := spec(t, "ok")
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec "+s.Executable+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Executable = path
	i, err := h.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if healthy, _, err := i.Health(t.Context()); err != nil || !healthy {
		t.Errorf("health: %v %v", healthy, err)
	}
}

// TestSurroundings: what a plugin inherits.
func TestSurroundings(t *testing.T) {
	t.Setenv("SECRET_OF_THE_CORE", "42")
	h, _ := newHost(t, nil)
	i, err := h.Start(t.Context(), spec(t, "ok"))
	if err != nil {
		t.Fatal(err)
	}
	proc := filepath.Join("/proc", itoa(i.PID()))
	environ, err := os.ReadFile(proc + "/environ")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(environ), "SECRET_OF_THE_CORE") {
		t.Error("the plugin sees the core's environment")
	}
	if cwd, err := os.Readlink(proc + "/cwd"); err != nil || cwd != "/" {
		t.Errorf("it runs in %s, %v", cwd, err)
	}
	if stdin, err := os.Readlink(proc + "/fd/0"); err != nil || stdin != "/dev/null" {
		t.Errorf("its standard input is %s, %v", stdin, err)
	}
	info, err := os.Stat(h.opts.RunDir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the run directory has mode %v, %v", info.Mode(), err)
	}
}

func TestLog(t *testing.T) {
	h, log := newHost(t, nil)
	if _, err := h.Start(t.Context(), spec(t, "log")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`level=WARN msg="be careful" plugin=volume/test depth=3`,
		`msg=printed plugin=volume/test stream=stdout`,
		`msg=complained plugin=volume/test stream=stderr`,
	} {
		eventually(t, "the log has "+want, func() bool { return strings.Contains(log.String(), want) })
	}
}

// TestFlood: a plugin that floods its log is cut off and counted, and answers
// as before.
func TestFlood(t *testing.T) {
	for _, mode := range []string{"flood", "flood-real"} {
		t.Run(mode, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			h, log := newHost(t, func(o *Options) {
				o.Metrics = registry
				o.Logs = LogLimits{LinesPerSecond: 20, Burst: 50}
			})
			i, err := h.Start(t.Context(), spec(t, mode))
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "lines are dropped and it is said", func() bool {
				return strings.Contains(log.String(), "dropped some") && metric(t, registry, "pintle_plugin_log_lines_dropped_total") > 100
			})
			for range 20 {
				if healthy, _, err := i.Health(t.Context()); err != nil || !healthy {
					t.Fatalf("health during the flood: %v %v", healthy, err)
				}
			}
			if n := strings.Count(log.String(), "\n"); n > 2000 {
				t.Errorf("%d lines got into the log", n)
			}
			if err := i.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	h, _ := newHost(t, func(o *Options) { o.Metrics = registry })
	s := h.Supervise(spec(t, "ok"), nil)
	i, err := await(t, s)
	if err != nil {
		t.Fatal(err)
	}
	up := func() bool { return metric(t, registry, "pintle_plugin_up") == 1 }
	eventually(t, "the plugin counts as up", up)
	_ = syscall.Kill(i.PID(), syscall.SIGKILL)
	eventually(t, "the restart is counted", func() bool {
		return metric(t, registry, "pintle_plugin_restarts_total") == 1 && up()
	})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v %v", problems, err)
	}
	if _, err := New(Options{RunDir: shortDir(t), Metrics: registry}); err == nil {
		t.Error("two hosts register the same metrics")
	}
}

// metric returns the sum of a metric over its labels.
func metric(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func TestRunDirMustBeShort(t *testing.T) {
	for _, dir := range []string{"relative", "/" + strings.Repeat("x", 100)} {
		if _, err := New(Options{RunDir: dir}); err == nil || !strings.Contains(err.Error(), "absolute path of at most") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

var errProbe = errors.New("probe")

// TestClassifiedErrorsPass: explain leaves alone what is not the plugin's end.
func TestClassifiedErrorsPass(t *testing.T) {
	c := &instanceConn{instance: &Instance{done: make(chan struct{})}}
	for _, err := range []error{nil, errProbe, errs.NotFound("x"), errs.Canceled("x")} {
		if got := c.explain(t.Context(), err); !errors.Is(got, err) {
			t.Errorf("%v becomes %v", err, got)
		}
	}
}
