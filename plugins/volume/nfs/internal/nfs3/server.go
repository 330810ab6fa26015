package nfs3

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/oncrpc"
)

// Program numbers and versions: RFC 1833, RFC 1813.
const (
	programPortmap = 100000
	versionPortmap = 2
	portPortmap    = 111
	procGetPort    = 3

	programNFS = 100003
	versionNFS = 3

	programMount = 100005
	versionMount = 3
	procMount    = 1
	procUnmount  = 3
	procExports  = 5

	protocolTCP = 6
)

// keepAlive finds out that a server is gone while nothing is sent.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 4}

// dial connects from a port below 1024 where the process may, because many
// servers serve nobody else.
func dial(ctx context.Context, server string, port uint32) (net.Conn, error) {
	const lowest, ports, attempts = 665, 1024 - 665, 32 // as the kernel's client
	var first [2]byte
	_, _ = rand.Read(first[:])
	address := net.JoinHostPort(server, strconv.Itoa(int(port)))
	begin := int(binary.BigEndian.Uint16(first[:]))
	for i := range attempts {
		d := net.Dialer{
			LocalAddr:       &net.TCPAddr{Port: lowest + (begin+i)%ports},
			KeepAliveConfig: keepAlive, Control: reuseAddress,
		}
		conn, err := d.DialContext(ctx, "tcp", address)
		switch {
		case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, syscall.EADDRNOTAVAIL):
			continue
		case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
			i = attempts
		default:
			return conn, err
		}
		break
	}
	d := net.Dialer{KeepAliveConfig: keepAlive}
	return d.DialContext(ctx, "tcp", address)
}

func reuseAddress(_, _ string, c syscall.RawConn) error {
	var failed error
	if err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}); err != nil {
		return err
	}
	return failed
}

// once connects, makes one call and closes the connection.
func once(ctx context.Context, server string, port uint32, call oncrpc.Call) (*oncrpc.Decoder, error) {
	c, err := oncrpc.Connect(ctx, func(ctx context.Context) (net.Conn, error) {
		return dial(ctx, server, port)
	}, func(error) {})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	reply, err := c.Call(ctx, call)
	if err != nil {
		return nil, err
	}
	return reply.Results, nil
}

// findPort asks the server's port mapper.
func findPort(ctx context.Context, server string, program, version uint32, what string) (uint32, error) {
	d, err := once(ctx, server, portPortmap, oncrpc.Call{
		Program: programPortmap, Version: versionPortmap, Procedure: procGetPort,
		Arguments: func(e *oncrpc.Encoder) {
			e.Uint32(program)
			e.Uint32(version)
			e.Uint32(protocolTCP)
			e.Uint32(0)
		},
	})
	if err != nil {
		return 0, fmt.Errorf("asking its rpcbind (port %d) for %s: %w", portPortmap, what, err)
	}
	port := d.Uint32()
	if err := d.Err(); err != nil {
		return 0, fmt.Errorf("asking its rpcbind (port %d) for %s: %w", portPortmap, what, err)
	}
	if port == 0 || port > 65535 {
		return 0, fmt.Errorf("it does not offer %s over TCP", what)
	}
	return port, nil
}

const (
	whatNFS   = "NFS version 3"
	whatMount = "the mount protocol of NFS version 3"
)

// Check reports whether the server answers.
func Check(ctx context.Context, server string) error {
	port, err := findPort(ctx, server, programNFS, versionNFS, whatNFS)
	if err != nil {
		return err
	}
	_, err = once(ctx, server, port, oncrpc.Call{Program: programNFS, Version: versionNFS})
	return err
}

// MountError is mountstat3: what the server says of the path.
type MountError uint32

const (
	MountErrNoEnt  MountError = 2
	MountErrAcces  MountError = 13
	MountErrPerm   MountError = 1
	MountErrNotDir MountError = 20
)

func (m MountError) Error() string {
	return fmt.Sprintf("the server refuses the mount: %v", Status(m).Errno())
}

const (
	maxPath    = 1024 // MNTPATHLEN
	maxFlavors = 64
	flavorUnix = 1
)

// rootHandle asks the server's mount daemon for the handle of a path.
func rootHandle(ctx context.Context, server, path string, cred *oncrpc.Credential) (Handle, error) {
	if len(path) > maxPath {
		return "", MountError(syscall.ENAMETOOLONG)
	}
	d, err := callMountDaemon(ctx, server, procMount, cred, func(e *oncrpc.Encoder) { e.String(path) })
	if err != nil {
		return "", err
	}
	if status := d.Uint32(); status != 0 {
		return "", MountError(status)
	}
	root := decodeHandle(d)
	flavors := d.Uint32()
	if flavors > maxFlavors {
		d.Fail("%d authentication flavors", flavors)
	}
	accepts := flavors == 0
	for range flavors {
		if d.Uint32() == flavorUnix {
			accepts = true
		}
	}
	if err := d.Err(); err != nil {
		return "", err
	}
	if !accepts {
		return "", fmt.Errorf("%w: it does not accept AUTH_SYS for this export", MountErrAcces)
	}
	return root, nil
}

func callMountDaemon(ctx context.Context, server string, procedure uint32, cred *oncrpc.Credential, arguments func(*oncrpc.Encoder)) (*oncrpc.Decoder, error) {
	port, err := findPort(ctx, server, programMount, versionMount, whatMount)
	if err != nil {
		return nil, err
	}
	d, err := once(ctx, server, port, oncrpc.Call{
		Program: programMount, Version: versionMount, Procedure: procedure, Credential: cred,
		Arguments: arguments,
	})
	if err != nil {
		return nil, fmt.Errorf("calling its mount daemon: %w", err)
	}
	return d, nil
}
