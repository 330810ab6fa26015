package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

func TestRunsToItsEnd(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(nil)
	c := n.end(n.run(s, nil, nil))
	if c.GetExitCode() != 0 || c.GetReason() != runtime.ReasonCompleted {
		t.Errorf("exit code %d, reason %s: %s", c.GetExitCode(), c.GetReason(), c.GetMessage())
	}
	if out, err := n.log(c, "stdout"), n.log(c, "stderr"); out != "hello\n" || err != "there\n" {
		t.Errorf("log: stdout %q, stderr %q", out, err)
	}
	if c := n.end(n.run(s, []string{"exit", "3"}, nil)); c.GetExitCode() != 3 || c.GetReason() != runtime.ReasonError {
		t.Errorf("exit 3: code %d, reason %s", c.GetExitCode(), c.GetReason())
	}
}

func TestCommandThatCannotRun(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(nil)
	for _, command := range []string{"/nothing-here", "not-in-path", "/data"} {
		c := n.create(s, nil, func(req *runtime.CreateContainerRequest) { req.Command = []string{command} })
		_, err := n.StartContainer(n.ctx, &runtime.StartContainerRequest{ContainerId: c.GetId()})
		if !errs.Is(err, errs.ClassInvalidArgument) || !strings.Contains(err.Error(), command) {
			t.Errorf("%s: the error does not say so: %v", command, err)
		}
		c = n.get(c.GetId())
		if c.GetState() != pluginv1.Container_STATE_EXITED || c.GetReason() != runtime.ReasonCannotRun || !strings.Contains(c.GetMessage(), command) {
			t.Errorf("%s: state %s, reason %s, message %s", command, c.GetState(), c.GetReason(), c.GetMessage())
		}
	}
}

func TestOOMKilled(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(nil)
	c := n.end(n.run(s, []string{"allocate", "200"}, func(req *runtime.CreateContainerRequest) {
		req.Resources = &runtime.LinuxResources{MemoryLimitBytes: 32 << 20}
	}))
	if c.GetReason() != runtime.ReasonOOMKilled || c.GetExitCode() != 137 || c.GetSignal() != 9 {
		t.Errorf("reason %s, exit code %d, signal %d", c.GetReason(), c.GetExitCode(), c.GetSignal())
	}
}

func TestStop(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(nil)
	ready := func(c *runtime.Container) {
		n.until("the signal handler", func() bool { return strings.Contains(n.log(c, "stdout"), "ready") })
	}
	stop := func(c *runtime.Container, grace time.Duration) *runtime.Container {
		if _, err := n.StopContainer(n.ctx, &runtime.StopContainerRequest{ContainerId: c.GetId(), GracePeriod: durationpb.New(grace)}); err != nil {
			t.Fatal(err)
		}
		return n.get(c.GetId())
	}
	heeds := n.run(s, []string{"until-signal", "SIGINT", "7"}, nil)
	ready(heeds)
	if c := stop(heeds, time.Minute); c.GetState() != pluginv1.Container_STATE_EXITED || c.GetExitCode() != 7 {
		t.Errorf("image's stop signal: %s, exit code %d", c.GetState(), c.GetExitCode())
	}
	own := n.run(s, []string{"until-signal", "SIGUSR1", "8"}, func(req *runtime.CreateContainerRequest) { req.StopSignal = "SIGUSR1" })
	ready(own)
	if c := stop(own, time.Minute); c.GetExitCode() != 8 {
		t.Errorf("stop signal of the request: exit code %d", c.GetExitCode())
	}
	deaf := n.run(s, []string{"until-signal", "SIGUSR2", "9"}, func(req *runtime.CreateContainerRequest) { req.StopSignal = "SIGWINCH" })
	if c := stop(deaf, 50*time.Millisecond); c.GetExitCode() != 137 || c.GetSignal() != 9 || c.GetReason() != runtime.ReasonError {
		t.Errorf("killed after its grace: exit code %d, signal %d, reason %s", c.GetExitCode(), c.GetSignal(), c.GetReason())
	}
}

func TestSharedNamespaces(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(func(req *runtime.CreateSandboxRequest) {
		req.Sysctls = map[string]string{"net.ipv4.ip_unprivileged_port_start": "77", "kernel.shm_rmid_forced": "1"}
	})
	// The first one runs on: the kernel uses the numbers of namespaces again.
	running := n.run(s, []string{"sleep"}, nil)
	var first []string
	for _, kind := range []string{"net", "ipc", "uts", "pid", "mnt"} {
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", running.GetPid(), kind))
		if err != nil {
			t.Fatal(err)
		}
		first = append(first, link)
	}
	second := strings.Fields(n.output(s, []string{"namespaces"}, nil))
	for i, kind := range []string{"net", "ipc", "uts"} {
		if first[i] != second[i] {
			t.Errorf("%s namespace is not shared", kind)
		}
		if own, _ := os.Readlink("/proc/self/ns/" + kind); own == first[i] {
			t.Errorf("%s namespace is the node's", kind)
		}
	}
	if first[3] == second[3] || first[4] == second[4] {
		t.Error("pid or mount namespace is shared")
	}
	if got := n.output(s, []string{"hostname"}, nil); got != "box\n" {
		t.Errorf("hostname %q", got)
	}
	if got := n.output(s, []string{"env", "HOSTNAME"}, nil); got != "box\n" {
		t.Errorf("HOSTNAME %q", got)
	}
	if got := n.output(s, []string{"listen-local"}, nil); got != "connected\n" {
		t.Errorf("loopback: %q", got)
	}
	if got := n.output(s, []string{"read", "/proc/sys/net/ipv4/ip_unprivileged_port_start"}, nil); got != "77\n" {
		t.Errorf("sysctl of the network: %q", got)
	}
	if got := n.output(s, []string{"read", "/proc/sys/kernel/shm_rmid_forced"}, nil); got != "1\n" {
		t.Errorf("sysctl of IPC: %q", got)
	}
	n.output(s, []string{"shm-write", "x", "shared"}, nil)
	if got := n.output(s, []string{"shm-read", "x"}, nil); got != "shared" {
		t.Errorf("/dev/shm: %q", got)
	}
}

// TestNextSandboxOfAPod removes the first sandbox of a pod when the second one
// runs already, in the same cgroup.
func TestNextSandboxOfAPod(t *testing.T) {
	n := newNode(t)
	first := n.sandbox(nil)
	n.run(first, []string{"sleep"}, nil)
	second := n.sandbox(func(req *runtime.CreateSandboxRequest) { req.CgroupParent = "/pintle-test/" + first.GetId() })
	c := n.run(second, []string{"sleep"}, nil)
	n.restart(nil)
	for range 2 {
		if _, err := n.StopSandbox(n.ctx, &runtime.StopSandboxRequest{SandboxId: first.GetId()}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.RemoveSandbox(n.ctx, &runtime.RemoveSandboxRequest{SandboxId: first.GetId()}); err != nil {
		t.Fatal(err)
	}
	if got := n.get(c.GetId()); got.GetState() != pluginv1.Container_STATE_RUNNING {
		t.Errorf("the second sandbox's container: %v", got)
	}
	if _, err := n.RemoveSandbox(n.ctx, &runtime.RemoveSandboxRequest{SandboxId: second.GetId()}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/sys/fs/cgroup/memory/pintle-test/" + first.GetId()); err == nil {
		t.Error("the cgroup is left")
	}
}

func TestNodeNamespaces(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(func(req *runtime.CreateSandboxRequest) {
		req.Network, req.Ipc, req.Pid = pluginv1.NamespaceMode_NAMESPACE_MODE_NODE, pluginv1.NamespaceMode_NAMESPACE_MODE_NODE, pluginv1.NamespaceMode_NAMESPACE_MODE_NODE
	})
	got := strings.Fields(n.output(s, []string{"namespaces"}, nil))
	for i, kind := range []string{"net", "ipc", "uts", "pid"} {
		if own, _ := os.Readlink("/proc/self/ns/" + kind); own != got[i] {
			t.Errorf("%s namespace is not the node's", kind)
		}
	}
}

func TestIdentityAndSecurity(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(nil)
	id := func(security *runtime.LinuxSecurity) map[string]string {
		out := n.output(s, []string{"id"}, func(req *runtime.CreateContainerRequest) { req.Security = security })
		fields := map[string]string{}
		for line := range strings.Lines(out) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			fields[key] = value
		}
		return fields
	}
	plain := id(nil)
	// The default capabilities, and seccomp's filter mode.
	if plain["uid"] != "0" || plain["CapEff"] != "00000000a80425fb" || plain["Seccomp"] != "2" || plain["NoNewPrivs"] != "0" {
		t.Errorf("by default: %v", plain)
	}
	user := id(&runtime.LinuxSecurity{RunAsUsername: "app", SupplementalGroups: []int64{5000}, NoNewPrivileges: true})
	if user["uid"] != "1234" || user["gid"] != "4321" || user["groups"] != "[77 4321 5000]" && user["groups"] != "[4321 77 5000]" || user["NoNewPrivs"] != "1" || user["CapEff"] != "0000000000000000" {
		t.Errorf("by name: %v", user)
	}
	uid, gid := int64(99), int64(98)
	numeric := id(&runtime.LinuxSecurity{RunAsUser: &uid, RunAsGroup: &gid})
	if numeric["uid"] != "99" || numeric["gid"] != "98" {
		t.Errorf("by number: %v", numeric)
	}
	changed := id(&runtime.LinuxSecurity{DropCapabilities: []string{"ALL"}, AddCapabilities: []string{"NET_BIND_SERVICE"}, Seccomp: &runtime.SecurityProfile{Type: pluginv1.SecurityProfile_TYPE_UNCONFINED}})
	if changed["CapEff"] != "0000000000000400" || changed["Seccomp"] != "0" {
		t.Errorf("capabilities: %v", changed)
	}
	privileged := id(&runtime.LinuxSecurity{Privileged: true})
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(own), "CapEff:\t"+privileged["CapEff"]) || privileged["Seccomp"] != "0" {
		t.Errorf("privileged: %v", privileged)
	}
}

func TestFileSystem(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(nil)
	volume := t.TempDir()
	mounted := func(readOnly bool) func(*runtime.CreateContainerRequest) {
		return func(req *runtime.CreateContainerRequest) {
			req.Mounts = []*runtime.Mount{{HostPath: volume, ContainerPath: "/mnt/deep/volume", ReadOnly: readOnly}}
		}
	}
	n.output(s, []string{"write", "/mnt/deep/volume/file", "content"}, mounted(false))
	if data, err := os.ReadFile(filepath.Join(volume, "file")); err != nil || string(data) != "content" {
		t.Errorf("volume: %q, %v", data, err)
	}
	if c := n.end(n.run(s, []string{"write", "/mnt/deep/volume/file", "other"}, mounted(true))); c.GetExitCode() == 0 {
		t.Error("a read-only volume was written")
	}
	readOnly := func(req *runtime.CreateContainerRequest) {
		req.Security = &runtime.LinuxSecurity{ReadOnlyRootfs: true}
	}
	if c := n.end(n.run(s, []string{"write", "/file", "x"}, readOnly)); c.GetExitCode() == 0 {
		t.Error("a read-only root was written")
	}
	if c := n.end(n.run(s, []string{"write", "/proc/sys/kernel/domainname", "x"}, nil)); c.GetExitCode() == 0 {
		t.Error("/proc/sys was written")
	}
	if devices := strings.Fields(n.output(s, []string{"list", "/dev"}, nil)); slices.Contains(devices, "mem") || !slices.Contains(devices, "null") {
		t.Errorf("devices: %v", devices)
	}
	withDevice := func(req *runtime.CreateContainerRequest) {
		req.Devices = []*runtime.Device{{HostPath: "/dev/fuse", ContainerPath: "/dev/fuse-here"}}
	}
	if devices := strings.Fields(n.output(s, []string{"list", "/dev"}, withDevice)); !slices.Contains(devices, "fuse-here") {
		t.Errorf("devices: %v", devices)
	}
}

func TestContainersOfAPodShareAShim(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(nil)
	parents := map[string]bool{}
	for range 3 {
		c := n.run(s, []string{"sleep"}, nil)
		data, err := os.ReadFile("/proc/" + strconv.Itoa(int(c.GetPid())) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(data), "PPid:\t")
		parent, _, _ := strings.Cut(rest, "\n")
		parents[parent] = true
	}
	if len(parents) != 1 {
		t.Errorf("three containers have the shims %v", parents)
	}
}

func TestResources(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(func(req *runtime.CreateSandboxRequest) {
		req.Resources = &runtime.LinuxResources{CpuShares: 512, MemoryLimitBytes: 300 << 20, PidsLimit: 100}
	})
	c := n.run(s, []string{"sleep"}, func(req *runtime.CreateContainerRequest) {
		req.Resources = &runtime.LinuxResources{CpuShares: 256, CpuQuota: 20000, CpuPeriod: 100000, MemoryLimitBytes: 100 << 20, OomScoreAdj: 500}
	})
	if data, err := os.ReadFile("/proc/" + strconv.Itoa(int(c.GetPid())) + "/oom_score_adj"); err != nil || string(data) != "500\n" {
		t.Errorf("oom_score_adj %q, %v", data, err)
	}
	stats, err := n.Stats(n.ctx, &runtime.StatsRequest{ContainerId: c.GetId()})
	if err != nil || len(stats.Stats) != 1 || stats.Stats[0].GetMemoryUsageBytes() == 0 || stats.Stats[0].GetPids() == 0 || stats.Stats[0].GetCpuUsageNanoseconds() == 0 {
		t.Errorf("stats: %v, %v", stats, err)
	}
	if _, err := n.UpdateContainer(n.ctx, &runtime.UpdateContainerRequest{ContainerId: c.GetId(), Resources: &runtime.LinuxResources{MemoryLimitBytes: 64 << 20}}); err != nil {
		t.Error(err)
	}
	for file, want := range map[string]string{
		"memory/pintle-test/" + s.GetId() + "/memory.limit_in_bytes":                   strconv.Itoa(300 << 20),
		"cpu/pintle-test/" + s.GetId() + "/cpu.shares":                                 "512",
		"pids/pintle-test/" + s.GetId() + "/pids.max":                                  "100",
		"cpu/pintle-test/" + s.GetId() + "/" + c.GetId() + "/cpu.cfs_quota_us":         "20000",
		"memory/pintle-test/" + s.GetId() + "/" + c.GetId() + "/memory.limit_in_bytes": strconv.Itoa(64 << 20),
	} {
		data, err := os.ReadFile("/sys/fs/cgroup/" + file)
		if err != nil || strings.TrimSpace(string(data)) != want {
			t.Errorf("%s: %q, %v; want %s", file, data, err, want)
		}
	}
}
