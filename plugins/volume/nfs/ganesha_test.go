package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/nfs3"
)

const serverAddress = "127.0.0.1"

// ganesha is a real NFS server with its port mapper.
type ganesha struct {
	t       *testing.T
	dir     string
	rpcbind *exec.Cmd
	server  *exec.Cmd
}

// ports are fixed, so that a restarted server is found where it was.
const ganeshaConfig = `
NFS_CORE_PARAM { Protocols = 3; NFS_Port = 2049; MNT_Port = 20048; Enable_NLM = false; Enable_RQUOTA = false; }
EXPORT_DEFAULTS { Access_Type = RW; Squash = No_Root_Squash; SecType = sys; Protocols = 3; Transports = TCP; }
EXPORT { Export_Id = 1; Path = %[1]s; Pseudo = /export; FSAL { Name = VFS; } }
`

func startServer(t *testing.T) *ganesha {
	t.Helper()
	g := &ganesha{t: t, dir: t.TempDir()}
	if err := os.Mkdir(g.export(), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(g.export(), 0o777); err != nil {
		t.Fatal(err)
	}
	g.write("ganesha.conf", fmt.Sprintf(ganeshaConfig, g.export()))
	g.rpcbind = exec.Command("rpcbind", "-f", "-w")
	if err := g.rpcbind.Start(); err != nil {
		t.Fatalf("the tests need rpcbind: %v", err)
	}
	t.Cleanup(func() { kill(g.rpcbind) })
	eventually(t, "the port mapper answers", func() error {
		conn, err := net.Dial("tcp", net.JoinHostPort(serverAddress, "111"))
		if err != nil {
			return err
		}
		return conn.Close()
	})
	g.start()
	t.Cleanup(func() {
		kill(g.server)
		if t.Failed() {
			text, _ := os.ReadFile(filepath.Join(g.dir, "log"))
			t.Logf("the end of the server's log:\n%s", text[max(0, len(text)-500):])
		}
	})
	return g
}

func (g *ganesha) export() string { return filepath.Join(g.dir, "export") }

func (g *ganesha) write(name, text string) {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, name), []byte(text), 0o644); err != nil {
		g.t.Fatal(err)
	}
}

// start returns when the server serves.
func (g *ganesha) start() {
	g.t.Helper()
	g.server = exec.Command("ganesha.nfsd", "-F", "-f", filepath.Join(g.dir, "ganesha.conf"),
		"-L", filepath.Join(g.dir, "log"), "-p", filepath.Join(g.dir, "pid"))
	if err := g.server.Start(); err != nil {
		g.t.Fatalf("the tests need nfs-ganesha with its FSAL VFS: %v", err)
	}
	eventually(g.t, "the NFS server answers", func() error {
		ctx, cancel := context.WithTimeout(g.t.Context(), 2*time.Second)
		defer cancel()
		client, err := nfs3.Mount(ctx, serverAddress, g.export(), &nfs3.Cred{}, func(error) {})
		if err != nil {
			return err
		}
		return client.Unmount(ctx)
	})
}

// stop kills the server; its port mapper stays.
func (g *ganesha) stop() { kill(g.server) }

// freeze keeps the server's connections open and answers nothing.
func (g *ganesha) freeze() { g.signal(syscall.SIGSTOP) }
func (g *ganesha) thaw()   { g.signal(syscall.SIGCONT) }

func (g *ganesha) signal(s syscall.Signal) {
	g.t.Helper()
	if err := g.server.Process.Signal(s); err != nil {
		g.t.Fatal(err)
	}
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in time: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
