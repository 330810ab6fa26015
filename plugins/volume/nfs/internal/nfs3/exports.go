package nfs3

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/oncrpc"
)

const (
	maxExports   = 4096
	maxGroups    = 4096 // of one export
	maxGroupName = 255
)

// exports lists the directories that a server exports.
func exports(ctx context.Context, server string, cred *Cred) ([]string, error) {
	d, err := callMountDaemon(ctx, server, procExports, cred, nil)
	if err != nil {
		return nil, err
	}
	return decodeExports(d)
}

func decodeExports(d *oncrpc.Decoder) ([]string, error) {
	var all []string
	for d.Bool() {
		all = append(all, d.String(maxPath))
		for n := 0; d.Bool(); n++ {
			d.String(maxGroupName)
			if n > maxGroups {
				d.Fail("more than %d groups", maxGroups)
			}
		}
		if len(all) > maxExports {
			d.Fail("more than %d exports", maxExports)
		}
	}
	return all, d.Err()
}

// explain tells a path that is not there from one that is refused: many servers
// answer "permission denied" to both.
func explain(ctx context.Context, server, path string, cred *Cred, err error) error {
	if !isMountError(err, MountErrAcces) && !isMountError(err, MountErrPerm) {
		return err
	}
	all, listErr := exports(ctx, server, cred)
	if listErr != nil {
		return err
	}
	within := ""
	for _, export := range all {
		if export == path {
			return err
		}
		if strings.HasPrefix(path, strings.TrimSuffix(export, "/")+"/") && len(export) > len(within) {
			within = export
		}
	}
	if within == "" {
		return fmt.Errorf("%w: it exports %s", MountErrNoEnt, enumerate(all))
	}
	if missing(ctx, server, within, path, cred) {
		return fmt.Errorf("%w below its export %s", MountErrNoEnt, within)
	}
	return err
}

func enumerate(exports []string) string {
	const most = 8
	switch {
	case len(exports) == 0:
		return "nothing"
	case len(exports) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(exports[:most], ", "), len(exports)-most)
	}
	return strings.Join(exports, ", ")
}

// missing looks a path up from the export that it lies in.
func missing(ctx context.Context, server, export, path string, cred *Cred) bool {
	handle, err := rootHandle(ctx, server, export, cred)
	if err != nil {
		return false
	}
	port, err := findPort(ctx, server, programNFS, versionNFS, whatNFS)
	if err != nil {
		return false
	}
	rpc, err := oncrpc.Connect(ctx, func(ctx context.Context) (net.Conn, error) { return dial(ctx, server, port) }, func(error) {})
	if err != nil {
		return false
	}
	defer rpc.Close()
	c := &Client{rpc: rpc}
	for name := range strings.SplitSeq(strings.Trim(strings.TrimPrefix(path, export), "/"), "/") {
		entry, err := c.Lookup(ctx, cred, handle, name)
		if err != nil {
			return isStatus(err, StatusNoEnt) || isStatus(err, StatusNotDir)
		}
		handle = entry.Handle
	}
	return false
}
