package manager

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/record"

	"github.com/pintle-io/pintle/core/host"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// TestMain makes the test binary play plugins: links to it in the plugin
// directory are named "<type>-<name>@<version>", and that says which it is.
func TestMain(m *testing.M) {
	// Processes under the race detector linger for a second when they exit.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")); err != nil {
		panic(err)
	}
	if os.Getenv(plugin.Handshake().MagicCookieKey) != "" {
		kind, name, _ := strings.Cut(filepath.Base(os.Args[0]), "-")
		t, err := plugin.ParseType(kind)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		name, version, ok := strings.Cut(name, "@")
		if !ok {
			version = "1"
		}
		plugin.Serve(plugin.Info{Name: name, Version: version, Permissions: []*pluginv1.Permission{
			{Resources: []string{"pods"}, Verbs: []string{"list"}},
		}}, &player{kind: t})
	}
	os.Exit(m.Run())
}

type player struct{ kind pluginv1.PluginType }

func (p *player) Type() pluginv1.PluginType             { return p.kind }
func (p *player) Register(grpc.ServiceRegistrar)        {}
func (p *player) Describe(d *pluginv1.DescribeResponse) { d.Capabilities = []string{"play"} }
func (p *player) Implementation() any                   { return p }

func (p *player) Configure(_ context.Context, req *plugin.ConfigureRequest) error {
	config := struct {
		Exit      string `json:"exit"`
		ExitLater string `json:"exitLater"`
		Note      string `json:"note"`
	}{}
	if err := plugin.DecodeConfig(req, &config); err != nil {
		return err
	}
	if config.Exit != "" {
		fmt.Fprintln(os.Stderr, config.Exit)
		os.Exit(4)
	}
	if config.ExitLater != "" {
		time.AfterFunc(50*time.Millisecond, func() {
			fmt.Fprintln(os.Stderr, config.ExitLater)
			os.Exit(5)
		})
	}
	if node := req.GetNode(); node != nil {
		return os.WriteFile(filepath.Join(node.GetStateDir(), "node"), []byte(node.GetName()), 0o600)
	}
	return nil
}

// rig is a manager on a fake API.
type rig struct {
	*Manager
	api    *fakeAPI
	dir    string
	events *record.FakeRecorder

	mu      sync.Mutex
	changes []Change
}

func newRig(t *testing.T, api *fakeAPI, change func(*Options)) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "pm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"scheduler-a", "scheduler-a@2", "scheduler-b", "controller-c", "volume-v", "volume-v@2"} {
		if err := os.Link(self, filepath.Join(dir, name)); err != nil {
			if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	h, err := host.New(host.Options{
		RunDir:  dir + "/run",
		Logger:  log,
		Backoff: host.Backoff{Initial: 20 * time.Millisecond, Max: 100 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{api: api, dir: dir, events: record.NewFakeRecorder(1000)}
	opts := Options{
		Host:      h,
		Client:    api.client(),
		Types:     []pluginv1.PluginType{pluginv1.PluginType_PLUGIN_TYPE_SCHEDULER, pluginv1.PluginType_PLUGIN_TYPE_CONTROLLER},
		PluginDir: dir,
		OnInstance: func(c Change) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.changes = append(r.changes, c)
			c.Release()
		},
		Recorder: r.events,
		Logger:   log,
	}
	if change != nil {
		change(&opts)
	}
	if r.Manager, err = New(opts); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("objects:\n%s", api)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		stop, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := h.Close(stop); err != nil {
			t.Errorf("close the host: %v", err)
		}
	})
	return r
}

func object(name string, spec pintlev1.PluginSpec) *pintlev1.Plugin {
	return &pintlev1.Plugin{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
}

func config(t *testing.T, values map[string]string) *runtime.RawExtension {
	t.Helper()
	raw, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return &runtime.RawExtension{Raw: raw}
}

// eventually polls the status of an object.
func (r *rig) eventually(t *testing.T, name, what string, condition func(pintlev1.PluginStatus) bool) pintlev1.PluginStatus {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		p := r.api.get(name)
		if p != nil && condition(p.Status) {
			return p.Status
		}
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s\n%s", what, r.api)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func running(s pintlev1.PluginStatus) bool { return s.Phase == pintlev1.PluginRunning }

// event waits for an event whose text has all the words.
func (r *rig) event(t *testing.T, words ...string) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case e := <-r.events.Events:
			missing := false
			for _, w := range words {
				missing = missing || !strings.Contains(e, w)
			}
			if !missing {
				return
			}
		case <-timeout:
			t.Fatalf("no event says %q", words)
		}
	}
}

func (r *rig) told() []Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Change(nil), r.changes...)
}

func TestRunAndStatus(t *testing.T) {
	api := newFakeAPI(t)
	r := newRig(t, api, nil)
	api.create(object("a", pintlev1.PluginSpec{Type: pintlev1.SchedulerPlugin}))
	s := r.eventually(t, "a", "a runs", running)
	if s.Version != "1" || s.Contract != "v1" || s.PID == 0 || s.Since == nil || s.Ready != "1/1" ||
		s.ObservedGeneration != 1 || len(s.SHA256) != 64 || s.Executable != r.dir+"/scheduler-a" ||
		len(s.Capabilities) != 1 || len(s.Declared) != 1 || s.Declared[0].Resources[0] != "pods" {
		t.Errorf("the status is %+v", s)
	}
	r.event(t, "Normal Started", "version 1")

	if _, ok := r.Supervisor(pluginv1.PluginType_PLUGIN_TYPE_SCHEDULER, "a"); !ok {
		t.Error("the running plugin is not found")
	}
	if d, ok := r.Default(pluginv1.PluginType_PLUGIN_TYPE_SCHEDULER); !ok || d.Name != "a" {
		t.Errorf("the default is %+v", d)
	}
	if _, ok := r.Default(pluginv1.PluginType_PLUGIN_TYPE_CONTROLLER); ok {
		t.Error("there is a default of a type without plugins")
	}
	changes := r.told()
	if len(changes) != 1 || changes[0].Instance == nil || changes[0].Object.Name != "a" {
		t.Fatalf("listeners were told %+v", changes)
	}
	var later []Change
	r.OnChange(func(c Change) { later = append(later, c) })()
	if len(later) != 1 || later[0].Instance != changes[0].Instance {
		t.Errorf("a listener that comes later is told %+v", later)
	}

	// Killed, it comes back with another process.
	_ = syscall.Kill(s.PID, syscall.SIGKILL)
	again := r.eventually(t, "a", "a runs again", func(n pintlev1.PluginStatus) bool { return running(n) && n.PID != s.PID })
	if again.Restarts != 1 || !strings.Contains(again.LastError, "signal: killed") {
		t.Errorf("after a crash the status is %+v", again)
	}
	r.event(t, "Warning", "signal: killed")

	// Disabled, it stops, and the status says so.
	api.update("a", func(s *pintlev1.PluginSpec) { s.Mode = pintlev1.PluginDisabled })
	off := r.eventually(t, "a", "a is disabled", func(s pintlev1.PluginStatus) bool { return s.Phase == pintlev1.PluginStopped })
	if off.PID != 0 || off.Ready != "0/0" || off.ObservedGeneration != 2 {
		t.Errorf("disabled, the status is %+v", off)
	}
	if err := syscall.Kill(again.PID, 0); err == nil {
		t.Error("the process of a disabled plugin lives")
	}
	if last := r.told(); last[len(last)-1].Instance != nil || last[len(last)-1].Err == nil {
		t.Errorf("listeners were not told of the end: %+v", last)
	}
	if _, ok := r.Supervisor(pluginv1.PluginType_PLUGIN_TYPE_SCHEDULER, "a"); ok {
		t.Error("the disabled plugin is found")
	}

	// The status settles: no write without news.
	api.mu.Lock()
	writes := api.writes
	api.mu.Unlock()
	r.Resync()
	time.Sleep(50 * time.Millisecond)
	api.mu.Lock()
	defer api.mu.Unlock()
	if api.writes != writes {
		t.Errorf("%d status writes without news", api.writes-writes)
	}
}

func TestSwap(t *testing.T) {
	api := newFakeAPI(t)
	r := newRig(t, api, nil)
	var hold Change
	var held sync.Mutex
	r.OnChange(func(c Change) {
		held.Lock()
		defer held.Unlock()
		if c.Old != nil {
			hold = c
		} else {
			c.Release()
		}
	})
	api.create(object("a", pintlev1.PluginSpec{Type: pintlev1.SchedulerPlugin}))
	before := r.eventually(t, "a", "a runs", running)

	api.update("a", func(s *pintlev1.PluginSpec) { s.Executable = "scheduler-a@2" })
	after := r.eventually(t, "a", "version 2 runs", func(s pintlev1.PluginStatus) bool { return running(s) && s.Version == "2" })
	if after.Restarts != 0 || after.LastError != "" {
		t.Errorf("after a swap the status is %+v", after)
	}
	r.event(t, "Swapped", "version 2", "version 1")
	held.Lock()
	release := hold
	held.Unlock()
	if release.Old == nil || release.Old.PID() != before.PID || release.Instance.PID() != after.PID {
		t.Fatalf("the listener was told %+v", release)
	}
	// The old process lives until the last listener released it.
	if err := syscall.Kill(before.PID, 0); err != nil {
		t.Error("the old process ended before it was released")
	}
	release.Release()
	release.Release()
	select {
	case <-release.Old.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the old process lives after it was released")
	}

	// A swap that fails leaves the old one running and says why.
	api.update("a", func(s *pintlev1.PluginSpec) { s.Config = config(t, map[string]string{"exit": "bad day"}) })
	failed := r.eventually(t, "a", "the swap failed", func(s pintlev1.PluginStatus) bool { return strings.Contains(s.LastError, "swap failed") })
	if !running(failed) || failed.PID != after.PID || !strings.Contains(failed.LastError, "bad day") || failed.Version != "2" {
		t.Errorf("after a swap that failed the status is %+v", failed)
	}
	r.event(t, "Warning", "swap failed", "bad day", "version 2")

	// Corrected, it swaps.
	api.update("a", func(s *pintlev1.PluginSpec) { s.Config = config(t, map[string]string{"note": "better"}) })
	healed := r.eventually(t, "a", "the corrected one runs", func(s pintlev1.PluginStatus) bool { return running(s) && s.PID != after.PID })
	if healed.LastError != "" {
		t.Errorf("after the correction the status is %+v", healed)
	}

	// What concerns listeners alone is no swap.
	api.update("a", func(s *pintlev1.PluginSpec) {
		s.Permissions = []pintlev1.PluginPermission{{Resources: []string{"nodes"}, Verbs: []string{"list"}}}
	})
	r.eventually(t, "a", "the change is observed", func(s pintlev1.PluginStatus) bool { return s.ObservedGeneration == 5 })
	deadline := time.Now().Add(20 * time.Second)
	for {
		changes := r.told()
		last := changes[len(changes)-1]
		if len(last.Object.Spec.Permissions) > 0 {
			if last.Instance == nil || last.Instance.PID() != healed.PID || last.Old != nil {
				t.Errorf("the change of the object is told as %+v", last)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("listeners were not told of the object's change")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestRollback: a new version that passes its checks and then crashes again and
// again is replaced by the one before, until the object changes.
func TestRollback(t *testing.T) {
	api := newFakeAPI(t)
	r := newRig(t, api, nil)
	api.create(object("a", pintlev1.PluginSpec{Type: pintlev1.SchedulerPlugin}))
	r.eventually(t, "a", "a runs", running)
	api.update("a", func(s *pintlev1.PluginSpec) {
		s.Executable = "scheduler-a@2"
		s.Config = config(t, map[string]string{"exitLater": "bad version"})
	})
	s := r.eventually(t, "a", "the one before is back", func(s pintlev1.PluginStatus) bool {
		return running(s) && s.Version == "1" && strings.Contains(s.LastError, "rolled back")
	})
	if !strings.Contains(s.LastError, "bad version") || s.ObservedGeneration != 2 {
		t.Errorf("the status is %+v", s)
	}
	r.event(t, "RolledBack", "bad version")
	r.Resync()
	api.update("a", func(s *pintlev1.PluginSpec) { s.Config = nil })
	r.eventually(t, "a", "the corrected version runs", func(s pintlev1.PluginStatus) bool {
		return running(s) && s.Version == "2" && s.LastError == ""
	})
}

func TestProblemsAreInTheStatus(t *testing.T) {
	api := newFakeAPI(t)
	r := newRig(t, api, nil)
	for name, test := range map[string]struct {
		spec  pintlev1.PluginSpec
		phase pintlev1.PluginPhase
		words string
	}{
		"missing":  {pintlev1.PluginSpec{Type: pintlev1.SchedulerPlugin}, pintlev1.PluginFailed, "scheduler-missing does not exist"},
		"relative": {pintlev1.PluginSpec{Type: pintlev1.SchedulerPlugin, Executable: "../x"}, pintlev1.PluginFailed, "neither an absolute path nor a file name"},
		"type":     {pintlev1.PluginSpec{Type: "teapot"}, pintlev1.PluginFailed, `"teapot" is no type of plugin`},
		"c":        {pintlev1.PluginSpec{Type: pintlev1.ControllerPlugin, Config: config(t, map[string]string{"exit": "no luck"})}, pintlev1.PluginCrashLoop, "no luck"},
		"b":        {pintlev1.PluginSpec{Type: pintlev1.SchedulerPlugin, Config: config(t, map[string]string{"nonsense": "x"})}, pintlev1.PluginFailed, "nonsense"},
		"sum":      {pintlev1.PluginSpec{Type: pintlev1.SchedulerPlugin, Executable: "scheduler-b", SHA256: strings.Repeat("1", 64)}, pintlev1.PluginFailed, "is required"},
	} {
		api.create(object(name, test.spec))
		s := r.eventually(t, name, name+" fails", func(s pintlev1.PluginStatus) bool {
			return s.Phase == test.phase && strings.Contains(s.LastError, test.words)
		})
		if s.Ready != "0/1" || s.PID != 0 {
			t.Errorf("%s: the status is %+v", name, s)
		}
	}
	// A plugin that did not run needs no swap to be corrected.
	api.update("c", func(s *pintlev1.PluginSpec) { s.Config = nil })
	r.eventually(t, "c", "the corrected plugin runs", running)
	if err := os.Symlink(r.dir+"/scheduler-b", r.dir+"/scheduler-missing"); err != nil {
		t.Fatal(err)
	}
	r.eventually(t, "missing", "the installed plugin is started", func(s pintlev1.PluginStatus) bool {
		return running(s)
	})
}

func TestDuplicates(t *testing.T) {
	api := newFakeAPI(t)
	r := newRig(t, api, nil)
	api.create(object("a", pintlev1.PluginSpec{Type: pintlev1.SchedulerPlugin}))
	api.create(object("younger", pintlev1.PluginSpec{Type: pintlev1.SchedulerPlugin, Name: "a"}))
	r.eventually(t, "a", "the older runs", running)
	r.eventually(t, "younger", "the younger is refused", func(s pintlev1.PluginStatus) bool {
		return s.Phase == pintlev1.PluginFailed && strings.Contains(s.LastError, "Plugin a runs scheduler/a here already")
	})
	api.remove("a")
	r.eventually(t, "younger", "the younger takes over", func(s pintlev1.PluginStatus) bool { return running(s) && s.LastError == "" })
}

// TestSameSpec: every field of a spec that changes what runs makes a swap.
func TestSameSpec(t *testing.T) {
	base := host.Spec{Type: 1, Name: "a", Executable: "/x", SHA256: "ab", Config: []byte("{}"), Node: &pluginv1.NodeInfo{Name: "n"}, Env: []string{"A=1"}}
	same := base
	same.Node, same.SHA256 = proto.CloneOf(base.Node), "AB"
	if !sameSpec(base, same) {
		t.Error("equal specs differ")
	}
	for name, change := range map[string]func(*host.Spec){
		"type":       func(s *host.Spec) { s.Type = 2 },
		"name":       func(s *host.Spec) { s.Name = "b" },
		"executable": func(s *host.Spec) { s.Executable = "/y" },
		"sha256":     func(s *host.Spec) { s.SHA256 = "" },
		"config":     func(s *host.Spec) { s.Config = nil },
		"node":       func(s *host.Spec) { s.Node = nil },
		"scheduler":  func(s *host.Spec) { s.SchedulerName = "x" },
		"env":        func(s *host.Spec) { s.Env = nil },
	} {
		other := base
		change(&other)
		if sameSpec(base, other) {
			t.Errorf("specs that differ in %s count as the same", name)
		}
	}
}
