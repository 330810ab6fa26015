package nfs3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/oncrpc"
)

const (
	// maxTransfer bounds one read or write, in bytes.
	maxTransfer = 1 << 20
	minTransfer = 4 << 10
	// jukeboxDelay is how long to wait for a file that the server fetches from
	// slow storage.
	jukeboxDelay = time.Second
)

// Client is one export that was mounted.
type Client struct {
	rpc    *oncrpc.Client
	server string
	path   string
	cred   *oncrpc.Credential

	// Root is the handle of the export's directory.
	Root Handle
	// ReadSize, WriteSize are the largest transfers, DirectorySize the
	// preferred reply of ReadDir, in bytes.
	ReadSize, WriteSize, DirectorySize uint32
}

// Mount asks the server for the path and connects to it. cred is whom the mount
// is made for. observe hears of the connection, see oncrpc.Connect.
func Mount(ctx context.Context, server, path string, cred *oncrpc.Credential, observe func(error)) (*Client, error) {
	root, err := rootHandle(ctx, server, path, cred)
	if err != nil {
		return nil, explain(ctx, server, path, cred, err)
	}
	port, err := findPort(ctx, server, programNFS, versionNFS, whatNFS)
	if err != nil {
		return nil, err
	}
	rpc, err := oncrpc.Connect(ctx, redialer(server, port), observe)
	if err != nil {
		return nil, err
	}
	c := &Client{rpc: rpc, server: server, path: path, cred: cred, Root: root}
	if err := c.fsInfo(ctx); err != nil {
		rpc.Close()
		return nil, fmt.Errorf("asking for the limits of the export: %w", err)
	}
	return c, nil
}

// redialer connects to the port where the server was last; where nothing
// listens there any more, its port mapper knows better.
func redialer(server string, port uint32) oncrpc.Dialer {
	var last atomic.Uint32
	last.Store(port)
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx, server, last.Load())
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		now, findErr := findPort(ctx, server, programNFS, versionNFS, whatNFS)
		if findErr != nil || now == last.Load() {
			return nil, err
		}
		last.Store(now)
		return dial(ctx, server, now)
	}
}

// Unmount tells the server, as a courtesy, and closes the connection.
func (c *Client) Unmount(ctx context.Context) error {
	c.rpc.Close()
	_, err := callMountDaemon(ctx, c.server, procUnmount, c.cred, func(e *oncrpc.Encoder) { e.String(c.path) })
	return err
}

// result is a reply of status NFS3_OK.
type result struct {
	*oncrpc.Decoder
	repeated bool
}

// call returns a Status as the error where the server answers with one. A
// procedure whose file is not at hand is called again.
func (c *Client) call(ctx context.Context, cred *oncrpc.Credential, procedure uint32, size int, arguments func(*oncrpc.Encoder)) (result, error) {
	for {
		reply, err := c.rpc.Call(ctx, oncrpc.Call{
			Program: programNFS, Version: versionNFS, Procedure: procedure,
			Credential: cred, Arguments: arguments, Size: size,
		})
		if err != nil {
			return result{}, err
		}
		status := Status(reply.Results.Uint32())
		if err := reply.Results.Err(); err != nil {
			return result{}, err
		}
		if status == 0 {
			return result{reply.Results, reply.Repeated}, nil
		}
		if status != StatusJukebox {
			return result{repeated: reply.Repeated}, status
		}
		select {
		case <-time.After(jukeboxDelay):
		case <-ctx.Done():
			return result{}, ctx.Err()
		}
	}
}

// isMountError reports whether err is that answer of a mount daemon.
func isMountError(err error, want MountError) bool {
	var got MountError
	return errors.As(err, &got) && got == want
}

// isStatus reports whether err is that status.
func isStatus(err error, want Status) bool {
	var got Status
	return errors.As(err, &got) && got == want
}

func (c *Client) fsInfo(ctx context.Context) error {
	const procFSInfo = 19
	r, err := c.call(ctx, c.cred, procFSInfo, 0, func(e *oncrpc.Encoder) { e.Opaque([]byte(c.Root)) })
	if err != nil {
		return err
	}
	decodeOptional(r.Decoder)
	readMax, _, _ := r.Uint32(), r.Uint32(), r.Uint32()
	writeMax, _, _ := r.Uint32(), r.Uint32(), r.Uint32()
	directory := r.Uint32()
	if err := r.Err(); err != nil {
		return err
	}
	c.ReadSize = min(max(readMax, minTransfer), maxTransfer)
	c.WriteSize = min(max(writeMax, minTransfer), maxTransfer)
	c.DirectorySize = min(max(directory, minTransfer), 64<<10)
	return nil
}
