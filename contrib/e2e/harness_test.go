package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// image of the demo's web server, which most tests run.
const image = "pintle.io/demo/webserver:1"

var (
	bin     string // directory of the built programs
	archive string // of the image
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	if os.Geteuid() != 0 {
		return fail(errors.New("these tests need root"))
	}
	var err error
	if bin, err = filepath.Abs("../../bin"); err != nil {
		return fail(err)
	}
	for _, program := range []string{filepath.Join(bin, "pintled"), "kubectl", "ip", "nsenter", "iptables"} {
		if _, err := exec.LookPath(program); err != nil {
			return fail(fmt.Errorf("%w: run \"make deps-test build\" first", err))
		}
	}
	for _, program := range []string{"webserver", "image", "demo"} {
		build := exec.Command("go", "build", "-o", filepath.Join(bin, "demo", program), "../demo/"+program)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fail(fmt.Errorf("building %s: %w: %s", program, err, out))
		}
	}
	archive = filepath.Join(bin, "demo", "webserver.tar")
	if out, err := exec.Command(filepath.Join(bin, "demo", "image"), "-binary", filepath.Join(bin, "demo", "webserver"), "-tag", image, "-out", archive).CombinedOutput(); err != nil {
		return fail(fmt.Errorf("making the image: %w: %s", err, out))
	}
	return m.Run()
}

// host is a network namespace with an address on the test's bridge: a machine
// of its own as far as packets go.
type host struct {
	t       *testing.T
	name    string
	address string
	dir     string
}

// lan is a bridge with hosts on it, in a namespace of its own so that nothing
// is added to the machine's network.
type lan struct {
	t     *testing.T
	name  string
	hosts int
}

func newLAN(t *testing.T) *lan {
	t.Helper()
	l := &lan{t: t, name: fmt.Sprintf("pe%d-lan", os.Getpid())}
	must(t, "ip", "netns", "add", l.name)
	t.Cleanup(func() { must(t, "ip", "netns", "del", l.name) })
	l.in("ip", "link", "add", "br0", "type", "bridge")
	l.in("ip", "link", "set", "br0", "up")
	return l
}

func (l *lan) in(args ...string) {
	l.t.Helper()
	must(l.t, "nsenter", append([]string{"--net=/run/netns/" + l.name, "--"}, args...)...)
}

// host adds a machine to the LAN. It has no default route.
func (l *lan) host() *host {
	l.t.Helper()
	l.hosts++
	h := &host{
		t: l.t, name: fmt.Sprintf("pe%d-n%d", os.Getpid(), l.hosts), address: fmt.Sprintf("172.31.77.%d", l.hosts),
	}
	var err error
	if h.dir, err = os.MkdirTemp("/var/tmp", "pe"); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { os.RemoveAll(h.dir) })
	must(l.t, "ip", "netns", "add", h.name)
	l.t.Cleanup(func() { must(l.t, "ip", "netns", "del", h.name) })
	port := fmt.Sprintf("v%d", l.hosts)
	l.in("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", h.name)
	l.in("ip", "link", "set", port, "master", "br0", "up")
	h.must("ip", "addr", "add", h.address+"/24", "dev", "eth0")
	h.must("ip", "link", "set", "eth0", "up")
	h.must("ip", "link", "set", "lo", "up")
	return h
}

// command runs in the host's network.
func (h *host) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=/run/netns/" + h.name, "--"}, args...)...)
}

func (h *host) must(args ...string) string {
	h.t.Helper()
	out, err := h.try(args...)
	if err != nil {
		h.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return out
}

func (h *host) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := h.command(ctx, args...).CombinedOutput()
	return string(out), err
}

// daemon is a pintled that the test started.
type daemon struct {
	host *host
	cmd  *exec.Cmd
	done chan struct{}
	err  error
	log  string
}

func (h *host) stateDir() string { return filepath.Join(h.dir, "state") }
func (h *host) runDir() string   { return filepath.Join(h.dir, "run") }
func (h *host) dirs() []string {
	return []string{"--state-dir", h.stateDir(), "--run-dir", h.runDir()}
}

// start runs pintled with a role, in the host's network. It is killed when the
// test ends, and what it made is taken back.
func (h *host) start(args ...string) *daemon {
	h.t.Helper()
	d := &daemon{host: h, done: make(chan struct{}), log: filepath.Join(h.dir, "log")}
	file, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	defer file.Close()
	argv := append([]string{filepath.Join(bin, "pintled")}, args...)
	// Exec replaces nsenter, so the process ID is pintled's.
	d.cmd = exec.Command("nsenter", append([]string{"--net=/run/netns/" + h.name, "--"}, append(argv, h.dirs()...)...)...)
	d.cmd.Stdout, d.cmd.Stderr = file, file
	if err := d.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.done)
	}()
	return d
}

// up starts a whole cluster on the host and waits for its node.
func (h *host) up(args ...string) *daemon {
	h.t.Helper()
	h.t.Cleanup(h.reset)
	d := h.start(append([]string{"up", "--node-name", "n1"}, args...)...)
	h.t.Cleanup(d.kill)
	d.waitReady("n1")
	return d
}

func (d *daemon) waitReady(node string) {
	d.host.t.Helper()
	d.host.eventually(time.Minute, func() error {
		select {
		case <-d.done:
			d.host.t.Fatalf("pintled ended: %v\n%s", d.err, d.tail())
		default:
		}
		out, err := d.host.kubectl("get", "node", node, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		if err != nil || out != "True" {
			return fmt.Errorf("node %s: ready %q, %v\n%s", node, out, err, d.tail())
		}
		return nil
	})
}

// kill ends pintled as a crash would.
func (d *daemon) kill() {
	if err := d.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.host.t.Error(err)
	}
	<-d.done
	if d.host.t.Failed() {
		d.host.t.Logf("the end of the log of %s:\n%s", d.host.name, d.tail())
	}
}

func (d *daemon) tail() string {
	content, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// reset takes back what pintled left on the host.
func (h *host) reset() {
	if out, err := h.try(append([]string{filepath.Join(bin, "pintled"), "reset"}, h.dirs()...)...); err != nil {
		h.t.Errorf("pintled reset: %v\n%s", err, out)
	}
	for _, left := range h.leftovers() {
		h.t.Errorf("left behind on %s: %s", h.name, left)
	}
}

// leftovers are the processes, mounts, chains, links and files of a host that a
// reset should have removed.
func (h *host) leftovers() []string {
	var left []string
	for _, line := range lines(read("/proc/self/mountinfo")) {
		if strings.Contains(line, h.dir) {
			left = append(left, "mount "+line)
		}
	}
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range procs {
		if cmdline := read(file); strings.Contains(cmdline, h.dir) && !strings.HasSuffix(filepath.Dir(file), fmt.Sprint(os.Getpid())) {
			left = append(left, "process "+filepath.Base(filepath.Dir(file))+" "+strings.ReplaceAll(cmdline, "\x00", " "))
		}
	}
	for _, line := range lines(h.must("iptables-save")) {
		if strings.Contains(line, "PINTLE") || strings.Contains(line, "CNI-") {
			left = append(left, "iptables "+line)
		}
	}
	for _, line := range lines(h.must("ip", "-o", "link")) {
		if !strings.Contains(line, ": lo:") && !strings.Contains(line, ": eth0@") {
			left = append(left, "link "+line)
		}
	}
	for _, dir := range []string{h.stateDir(), h.runDir()} {
		if entries, err := os.ReadDir(dir); err == nil {
			left = append(left, fmt.Sprintf("directory %s with %v", dir, entries))
		}
	}
	return left
}

func read(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return "" // A process that ended meanwhile.
	}
	return string(content)
}

func lines(s string) []string { return strings.Split(strings.TrimSpace(s), "\n") }

// kubectl runs the distribution's own kubectl, unmodified.
func (h *host) kubectl(args ...string) (string, error) {
	return h.kubectlWith("", args...)
}

func (h *host) kubectlWith(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := h.command(ctx, append([]string{"kubectl", "--kubeconfig", filepath.Join(h.stateDir(), "admin.kubeconfig")}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+h.dir)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

func (h *host) mustKubectl(args ...string) string {
	h.t.Helper()
	out, err := h.kubectl(args...)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

func (h *host) apply(manifest string) {
	h.t.Helper()
	if _, err := h.kubectlWith(manifest, "apply", "-f", "-"); err != nil {
		h.t.Fatal(err)
	}
}

// importImage brings the web server to every node that is ready.
func (h *host) importImage(archives ...string) {
	h.t.Helper()
	if len(archives) == 0 {
		archives = []string{archive}
	}
	for _, a := range archives {
		h.must(filepath.Join(bin, "pintle"), "--kubeconfig", filepath.Join(h.stateDir(), "admin.kubeconfig"), "image", "import", a)
	}
}

// eventually repeats a check until it is content or time is up.
func (h *host) eventually(limit time.Duration, check func() error) {
	h.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("after %v: %v", limit, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// waitPods waits until exactly so many pods of a selector are ready and no
// others are there.
func (h *host) waitPods(selector string, want int) {
	h.t.Helper()
	h.eventually(90*time.Second, func() error {
		out, err := h.kubectl("get", "pods", "-l", selector, "--no-headers")
		if err != nil {
			return err
		}
		ready, there := 0, 0
		for _, line := range lines(out) {
			f := strings.Fields(line)
			if len(f) < 3 {
				continue
			}
			there++
			if have, of, _ := strings.Cut(f[1], "/"); have == of && f[2] == "Running" {
				ready++
			}
		}
		if there != want || ready != want {
			return fmt.Errorf("%d pods, %d ready, not %d:\n%s", there, ready, want, out)
		}
		return nil
	})
}

func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}
