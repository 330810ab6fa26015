package host

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

func TestStartAndStop(t *testing.T) {
	h, _ := newHost(t, nil)
	closed := filepath.Join(t.TempDir(), "closed")
	i, err := h.Start(t.Context(), spec(t, "ok", "HOST_TEST_CLOSED="+closed))
	if err != nil {
		t.Fatal(err)
	}
	if got := i.Description(); got.GetName() != "test" || got.GetVersion() != "1.2.3" || got.GetCapabilities()[0] != "test" {
		t.Errorf("description is %v", got)
	}
	if !i.MutualTLS() {
		t.Error("the connection to a plugin of the Go SDK is not under mutual TLS")
	}
	if i.Contract() != 1 {
		t.Errorf("contract is version %d", i.Contract())
	}
	comm, err := os.ReadFile(filepath.Join("/proc", itoa(i.PID()), "comm"))
	if err != nil || strings.TrimSpace(string(comm)) != "volume-test" {
		t.Errorf("the process is named %q, %v", comm, err)
	}
	// The socket's name is gone as soon as the connection stands.
	if left, _ := filepath.Glob(h.opts.RunDir + "/" + socketDirPrefix + "*"); len(left) != 0 {
		t.Errorf("sockets are still reachable: %v", left)
	}
	if healthy, _, err := i.Health(t.Context()); err != nil || !healthy {
		t.Errorf("health: %v %v", healthy, err)
	}
	for range 2 {
		if err := i.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if alive(i.PID()) {
		t.Error("the process lives after Stop")
	}
	if _, err := os.Stat(closed); err != nil {
		t.Errorf("the implementation was not closed: %v", err)
	}
	_, _, err = i.Health(t.Context())
	if !errs.Is(err, errs.ClassPluginGone) {
		t.Errorf("a call after Stop gives %v (%s), want PluginGone", err, errs.ClassOf(err))
	}
}

// TestStartFailures has every way in which a start can fail: each error says
// what happened, with the words that an operator needs.
func TestStartFailures(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	with := func(s Spec, change func(*Spec)) Spec {
		change(&s)
		return s
	}
	path := func(p string) Spec { return with(spec(t, "ok"), func(s *Spec) { s.Executable = p }) }

	for name, test := range map[string]struct {
		spec   Spec
		reason string
		words  []string
	}{
		"missing":            {path(dir + "/nothing"), ReasonExecutableNotFound, []string{dir + "/nothing does not exist", "install"}},
		"relative":           {path("volume-nfs"), ReasonExecutableNotFound, []string{"no absolute path"}},
		"directory":          {path(dir), ReasonNotExecutable, []string{"directory"}},
		"no permission":      {path(file("plain", "x", 0o644)), ReasonNotExecutable, []string{"no execute permission", "chmod +x"}},
		"empty":              {path(file("empty", "", 0o755)), ReasonNotExecutable, []string{"is empty"}},
		"no program":         {path(file("text", "hello\n", 0o755)), ReasonNotExecutable, []string{"neither a program for this machine nor a script"}},
		"no interpreter":     {path(file("script", "#!/nothing/here\n", 0o755)), ReasonNotExecutable, []string{"interpreter"}},
		"wrong checksum":     {with(spec(t, "ok"), func(s *Spec) { s.SHA256 = strings.Repeat("0", 64) }), ReasonChecksumMismatch, []string{"has sha256", "is required"}},
		"exits":              {spec(t, "exit"), ReasonExited, []string{"exit status 3", "can't find my trousers"}},
		"panics":             {spec(t, "panic"), ReasonExited, []string{"exit status 2", "panic: the author forgot a nil check"}},
		"garbage":            {spec(t, "garbage"), ReasonBadHandshake, []string{`"Hello, I am a chatty program"`, "instead of the handshake"}},
		"binary garbage":     {spec(t, "binary"), ReasonBadHandshake, []string{`\x00\x01`, "instead of the handshake"}},
		"silent":             {spec(t, "silent"), ReasonHandshakeTimeout, []string{"did not print the handshake line within 700ms"}},
		"newer version":      {spec(t, "line:1|2|unix|/nowhere|grpc"), ReasonVersionMismatch, []string{"version 2", "pintle.plugin.v2", "pintle.plugin.v1", "upgrade pintled"}},
		"older version":      {spec(t, "line:1|0|unix|/nowhere|grpc"), ReasonVersionMismatch, []string{"version 0", "upgrade the plugin"}},
		"other go-plugin":    {spec(t, "line:9|1|unix|/nowhere|grpc"), ReasonBadHandshake, []string{"first field"}},
		"net/rpc":            {spec(t, "line:1|1|unix|/nowhere"), ReasonBadHandshake, []string{"fifth field must be grpc"}},
		"no socket":          {spec(t, "line:1|1|unix|/nowhere|grpc"), ReasonNoAnswer, []string{"Describe"}},
		"wrong type":         {with(spec(t, "ok"), func(s *Spec) { s.Type = pluginv1.PluginType_PLUGIN_TYPE_PROXY }), ReasonWrongType, []string{"of type volume, not proxy"}},
		"wrong name":         {with(spec(t, "ok"), func(s *Spec) { s.Name = "nfs" }), ReasonWrongName, []string{`calls itself "test", not "nfs"`}},
		"bad name":           {with(spec(t, "ok"), func(s *Spec) { s.Name = "../x" }), ReasonWrongName, []string{"DNS label"}},
		"bad configuration":  {with(spec(t, "ok"), func(s *Spec) { s.Config = []byte(`{"gretting": "hi"}`) }), ReasonConfigRejected, []string{"gretting"}},
		"precondition":       {spec(t, "precondition"), "FailedPrecondition", []string{"there is no containerd", "apt-get install"}},
		"exits in Configure": {spec(t, "configure-exit"), ReasonExited, []string{"Configure", "exit status 7", "no such device"}},
		"hangs in Configure": {spec(t, "configure-hang"), ReasonNoAnswer, []string{"does not answer Configure in time"}},
		"unhealthy":          {spec(t, "unhealthy"), ReasonUnhealthy, []string{"the disk is on fire"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := newHost(t, func(o *Options) {
				if strings.Contains(strings.Join(test.words, " "), "700ms") || name == "no socket" {
					o.HandshakeTimeout = 700 * time.Millisecond
				}
				if name == "hangs in Configure" || name == "unhealthy" {
					o.ConfigureTimeout = time.Second
				}
			})
			i, err := h.Start(t.Context(), test.spec)
			if err == nil {
				t.Fatalf("it started: %v", i.Description())
			}
			if got := errs.Reason(err); got != test.reason {
				t.Errorf("reason is %s, want %s", got, test.reason)
			}
			text := errs.Text(err)
			for _, word := range test.words {
				if !strings.Contains(text, word) {
					t.Errorf("the error does not say %q: %s", word, text)
				}
			}
		})
	}
}

func TestStartIsGivenUp(t *testing.T) {
	h, _ := newHost(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := h.Start(ctx, spec(t, "silent"))
		failed <- err
	}()
	eventually(t, "the process runs", func() bool {
		records, _ := filepath.Glob(h.opts.RunDir + "/*" + recordSuffix)
		return len(records) == 1
	})
	cancel()
	if err := <-failed; !errs.Is(err, errs.ClassCanceled) {
		t.Errorf("the error is %v (%s), want Canceled", err, errs.ClassOf(err))
	}
}

func TestChecksum(t *testing.T) {
	h, _ := newHost(t, nil)
	i, err := h.Start(t.Context(), spec(t, "ok"))
	if err != nil {
		t.Fatal(err)
	}
	again := spec(t, "ok")
	again.SHA256 = strings.ToUpper(i.SHA256())
	if _, err := h.Start(t.Context(), again); err != nil {
		t.Errorf("the right checksum is refused: %v", err)
	}
}

// TestSwappedFileDoesNotRun replaces the file between check and execution.
func TestSwappedFileDoesNotRun(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "plugin")
	ran := filepath.Join(dir, "evil-ran")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho good\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	exe, err := openExecutable(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer exe.file.Close()
	evil := path + ".new"
	if err := os.WriteFile(evil, []byte("#!/bin/sh\ntouch "+ran+"\necho evil\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(evil, path); err != nil {
		t.Fatal(err)
	}

	h, _ := newHost(t, nil)
	rec, err := newRecord(h.opts.RunDir, "volume/test")
	if err != nil {
		t.Fatal(err)
	}
	p := &process{spawner: h.spawner, exe: exe, record: rec, grace: time.Second, exited: make(chan struct{})}
	sink := newLogSink(h.log, h.opts.Logs, func(int) {})
	if err := p.start([]string{"PATH=/usr/bin:/bin"}, sink); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 100)
	n, _ := p.stdout.Read(buffer)
	<-p.exited
	if got := string(buffer[:n]); got != "good\n" {
		t.Errorf("it printed %q: the file that replaced the checked one ran", got)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("the file that replaced the checked one ran")
	}

	// Writing into the checked file itself is noticed.
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho first\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	exe, err = openExecutable(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer exe.file.Close()
	if err := exe.unchanged(); err != nil {
		t.Errorf("an untouched file counts as changed: %v", err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho second, longer\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := exe.unchanged(); errs.Reason(err) != ReasonChecksumMismatch {
		t.Errorf("a file that was written in place passes: %v", err)
	}
}
