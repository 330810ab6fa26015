package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fileServer is a real NFS server on a host of its own.
type fileServer struct {
	host       *host
	export     string
	server     *exec.Cmd
	portmapper *exec.Cmd
}

const ganesha = `
NFS_CORE_PARAM { Protocols = 3; NFS_Port = 2049; MNT_Port = 20048; Enable_NLM = false; Enable_RQUOTA = false; }
EXPORT_DEFAULTS { Access_Type = RW; Squash = No_Root_Squash; SecType = sys; Protocols = 3; Transports = TCP; }
EXPORT { Export_Id = 1; Path = %s; Pseudo = /export; FSAL { Name = VFS; } }
`

func newFileServer(h *host) *fileServer {
	h.t.Helper()
	f := &fileServer{host: h, export: filepath.Join(h.dir, "export")}
	if err := os.Mkdir(f.export, 0o777); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.dir, "ganesha.conf"), fmt.Appendf(nil, ganesha, f.export), 0o600); err != nil {
		h.t.Fatal(err)
	}
	// A /run of its own, as the port mapper's socket there is the machine's.
	f.portmapper = f.run("unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && mkdir /run/rpcbind && exec rpcbind -f -w")
	h.t.Cleanup(func() { end(f.portmapper) })
	f.start()
	h.t.Cleanup(func() { end(f.server) })
	return f
}

func (f *fileServer) run(args ...string) *exec.Cmd {
	f.host.t.Helper()
	// Exec replaces nsenter, so the process ID is the program's.
	cmd := exec.Command("nsenter", append([]string{"--net=/run/netns/" + f.host.name, "--"}, args...)...)
	if err := cmd.Start(); err != nil {
		f.host.t.Fatal(err)
	}
	return cmd
}

func (f *fileServer) start() {
	f.host.t.Helper()
	dir := f.host.dir
	f.host.eventually(30*time.Second, func() error {
		out, err := f.host.try("rpcinfo", "-p", f.host.address)
		if err != nil {
			return fmt.Errorf("%s, %w", out, err)
		}
		return nil
	})
	f.server = f.run("nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", f.portmapper.Process.Pid), "--", "ganesha.nfsd", "-F", "-f", filepath.Join(dir, "ganesha.conf"), "-L", filepath.Join(dir, "ganesha.log"), "-p", filepath.Join(dir, "ganesha.pid"))
	f.host.eventually(30*time.Second, func() error {
		out, err := f.host.try("showmount", "-e", f.host.address)
		if err != nil || !strings.Contains(out, f.export) {
			return fmt.Errorf("%s, %v", out, err)
		}
		return nil
	})
}

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// TestNFS shares a file between pods on two nodes, while its server restarts,
// and looks at what a wrong path and a dead server cost.
func TestNFS(t *testing.T) {
	l := newLAN(t)
	first, second := l.host(), l.host()
	files := newFileServer(l.host())
	d := first.up()
	token := strings.TrimSpace(first.must(filepath.Join(bin, "pintle"), "--kubeconfig", first.stateDir()+"/admin.kubeconfig", "token", "create", "--state-dir", first.stateDir()))
	t.Cleanup(second.reset)
	agent := second.start("agent", "--node-name", "n2", "--server", "https://"+first.address+":6443", "--token", token)
	t.Cleanup(agent.kill)
	d.waitReady("n2")
	first.importImage(nginx(t))

	pod := func(name, node, server, path string) string {
		return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, labels: {app: %[1]s}}
spec:
  terminationGracePeriodSeconds: 0
  nodeSelector: {kubernetes.io/hostname: %[2]s}
  containers:
  - {name: c, image: "%[3]s", command: [sleep, "100000"], volumeMounts: [{name: files, mountPath: /files}]}
  volumes: [{name: files, nfs: {server: %[4]s, path: %[5]s}}]
---`, name, node, nginxImage, server, path)
	}
	first.apply(pod("writer", "n1", files.host.address, files.export) + pod("reader", "n2", files.host.address, files.export))
	first.waitPods("app=writer", 1)
	first.waitPods("app=reader", 1)
	shares := func(text string) {
		t.Helper()
		first.mustKubectl("exec", "writer", "--", "sh", "-c", "echo "+text+" > /files/shared")
		first.eventually(20*time.Second, func() error {
			out, err := first.kubectl("exec", "reader", "--", "cat", "/files/shared")
			if err != nil || strings.TrimSpace(out) != text {
				return fmt.Errorf("%q, %v", out, err)
			}
			return nil
		})
	}
	shares("one")
	if content := read(filepath.Join(files.export, "shared")); content != "one\n" {
		t.Errorf("on the server: %q", content)
	}
	end(files.server)
	files.start()
	shares("two")

	// A path that the server does not export, and a server that is dead: the
	// pods say so, and everybody else goes on.
	first.apply(pod("lost", "n1", files.host.address, "/no/such/export") + pod("alone", "n1", "172.31.77.99", "/export"))
	first.eventsOf(t, "lost", "/no/such/export")
	first.eventually(2*time.Minute, func() error {
		out, err := first.kubectl("get", "events", "--field-selector", "involvedObject.name=alone")
		if err != nil || !strings.Contains(out, "172.31.77.99") {
			return fmt.Errorf("%v\n%s", err, out)
		}
		return nil
	})
	shares("three")
	// Nor does a dead server keep a pod from ending.
	end(files.server)
	first.mustKubectl("delete", "pod", "lost", "alone", "writer", "reader", "--timeout=90s")
	for _, h := range []*host{first, second} {
		h.eventually(30*time.Second, func() error {
			for _, line := range lines(read("/proc/self/mountinfo")) {
				if strings.Contains(line, h.dir) && strings.Contains(line, "nfs") {
					return fmt.Errorf("still mounted: %s", line)
				}
			}
			return nil
		})
	}
	files.start() // For what the test's end ends.
}
