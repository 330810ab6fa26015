package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// envMutant makes the test binary play a plugin: a correct one, or one with the
// fault that the value names.
const envMutant = "CONFORMANCE_TEST_MUTANT"

func TestMain(m *testing.M) {
	if fault, ok := os.LookupEnv(envMutant); ok {
		playPlugin(fault)
	}
	os.Exit(m.Run())
}

func playPlugin(fault string) {
	key := plugin.Handshake().MagicCookieKey
	if fault == "by-hand" && os.Getenv(key) == "" {
		os.Exit(0)
	}
	info := plugin.Info{Name: "sample", Version: "0.1.0"}
	if fault == "no-version" {
		info.Version = ""
	}
	if fault == "deaf" {
		os.Unsetenv(plugin.EnvHostFD)
		signal.Ignore(syscall.SIGTERM)
	}
	plugin.Serve(info, &sample{fault: fault})
}

// sample is a plugin of type volume.
type sample struct {
	fault      string
	configured atomic.Bool
}

func (s *sample) Type() pluginv1.PluginType { return pluginv1.PluginType_PLUGIN_TYPE_VOLUME }

func (s *sample) Register(grpc.ServiceRegistrar) {}

func (s *sample) Implementation() any { return s }

func (s *sample) Describe(d *pluginv1.DescribeResponse) {
	d.Capabilities = []string{"usage"}
	switch s.fault {
	case "capability-twice":
		d.Capabilities = append(d.Capabilities, "usage")
	case "describe-varies":
		d.Version = fmt.Sprint(time.Now().UnixNano())
	case "schema":
		d.ConfigSchema = []byte("{")
	}
}

func (s *sample) Configure(_ context.Context, req *plugin.ConfigureRequest) error {
	s.configured.Store(true)
	config := struct {
		Greeting string `json:"greeting"`
	}{}
	switch s.fault {
	case "config-ignored":
		return nil
	case "config-lax":
		return json.Unmarshal(req.GetConfig(), &config)
	}
	return plugin.DecodeConfig(req, &config)
}

func (s *sample) Health(ctx context.Context) error {
	switch s.fault {
	case "health-hangs-early":
		if !s.configured.Load() {
			<-ctx.Done()
			time.Sleep(time.Hour)
		}
	case "health-cancel-fatal":
		select {
		case <-ctx.Done():
			os.Exit(1)
		case <-time.After(20 * time.Millisecond):
		}
	case "unhealthy-mute":
		if s.configured.Load() {
			return fmt.Errorf("")
		}
	}
	return nil
}

func (s *sample) Close() error {
	if s.fault == "close-hangs" {
		// Longer than the SDK waits; it must exit all the same.
		time.Sleep(time.Hour)
	}
	return nil
}

func options(t *testing.T, fault string) Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Executable: self,
		Type:       pluginv1.PluginType_PLUGIN_TYPE_VOLUME,
		Config:     []byte(`{"greeting": "hello"}`),
		Env:        []string{envMutant + "=" + fault},
		Select:     func(id string) bool { return strings.HasPrefix(id, "plugin.") },
	}
}

// TestCorrectPlugin runs the checks on a plugin that is right.
func TestCorrectPlugin(t *testing.T) {
	t.Parallel()
	Test(t, options(t, ""))
}

// TestSlowClose: the SDK exits although the author's Close hangs.
func TestSlowClose(t *testing.T) {
	t.Parallel()
	opts := options(t, "close-hangs")
	opts.Select = func(id string) bool { return id == "plugin.exit.host-gone" }
	Test(t, opts)
}

// TestMutants proves the kit: each fault is caught by the check that is there
// for it.
func TestMutants(t *testing.T) {
	for fault, id := range map[string]string{
		"by-hand":             "plugin.by-hand",
		"no-version":          "plugin.describe.valid",
		"capability-twice":    "plugin.describe.valid",
		"schema":              "plugin.describe.valid",
		"describe-varies":     "plugin.describe.stable",
		"config-ignored":      "plugin.configure.malformed",
		"config-lax":          "plugin.configure.unknown-field",
		"health-hangs-early":  "plugin.health.prompt",
		"health-cancel-fatal": "plugin.cancel",
		"unhealthy-mute":      "plugin.configure.accepts",
		"deaf":                "plugin.exit.host-gone",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			opts := options(t, fault)
			opts.Select = func(other string) bool { return other == id }
			opts.ExitTimeout = 2 * time.Second
			report := Run(t.Context(), opts)
			if report.Conforms() {
				t.Errorf("%s passes a plugin whose fault is %s", id, fault)
			}
			for _, r := range report.Results {
				if r.Outcome == Fail && r.ID != id {
					t.Errorf("%s fails instead of %s: %s", r.ID, id, r.Detail)
				}
			}
		})
	}
}

// TestNoPlugin: what can't be started is a failed check with the reason.
func TestNoPlugin(t *testing.T) {
	report := Run(t.Context(), Options{Executable: "/bin/true"})
	if report.Conforms() || len(report.Results) != 1 || report.Results[0].ID != "plugin.start" {
		t.Errorf("the report is %+v", report)
	}
	report = Run(t.Context(), Options{Executable: "/nothing/here"})
	if report.Conforms() || !strings.Contains(report.Results[0].Detail, "/nothing/here") {
		t.Errorf("the report is %+v", report)
	}
}

func TestReportFormats(t *testing.T) {
	report := Report{
		Executable: "/bin/x", Type: "volume", Name: "x", Version: "1",
		Results: []Result{
			newResult(Check{ID: "a", Sentence: "A."}, nil, time.Second),
			newResult(Check{ID: "b", Sentence: "B <&>."}, fmt.Errorf("bad\x00 <thing>"), time.Second),
			newResult(Check{ID: "c", Sentence: "C."}, Skip("no %s", "server"), time.Second),
		},
	}
	var text, junit, asJSON bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"pass  a ", "fail  b ", "skip  c ", "no server", "1 passed, 1 failed, 1 skipped"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, text.String())
		}
	}
	if err := report.WriteJUnit(&junit); err != nil {
		t.Fatal(err)
	}
	var suite junitSuite
	if err := xml.Unmarshal(junit.Bytes(), &suite); err != nil {
		t.Fatalf("the JUnit report can't be read: %v\n%s", err, junit.String())
	}
	if suite.Tests != 3 || suite.Failures != 1 || suite.Skipped != 1 || suite.Cases[1].Failure == nil {
		t.Errorf("the JUnit report is %+v", suite)
	}
	if err := report.WriteJSON(&asJSON); err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(asJSON.Bytes(), &again); err != nil || again.Count(Fail) != 1 {
		t.Errorf("the JSON report is %s, %v", asJSON.String(), err)
	}
}
