package nfsfuse

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/nfs3"
)

const (
	groupsTime = time.Second
	maxCallers = 1024
)

// credentials knows the supplementary groups of processes, which FUSE leaves
// out, for a moment.
type credentials struct {
	machine string

	mu    sync.Mutex
	known map[fuse.Caller]known
}

type known struct {
	cred  *nfs3.Cred
	until time.Time
}

func newCredentials(machine string) *credentials {
	return &credentials{machine: machine, known: map[fuse.Caller]known{}}
}

// of is the credential of the process that made a request.
func (c *credentials) of(caller *fuse.Caller) *nfs3.Cred {
	now := time.Now()
	c.mu.Lock()
	k, ok := c.known[*caller]
	c.mu.Unlock()
	if ok && now.Before(k.until) {
		return k.cred
	}
	cred := &nfs3.Cred{Machine: c.machine, UID: caller.Uid, GID: caller.Gid, Groups: groups(caller.Pid)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxCallers {
		clear(c.known)
	}
	c.known[*caller] = known{cred, now.Add(groupsTime)}
	return cred
}

// groups of a thread; none for one that is gone or of the kernel.
func groups(tid uint32) []uint32 {
	if tid == 0 {
		return nil
	}
	file, err := os.Open("/proc/" + strconv.Itoa(int(tid)) + "/status")
	if err != nil {
		return nil
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "Groups:")
		if !ok {
			continue
		}
		var all []uint32
		for _, field := range strings.Fields(text) {
			if g, err := strconv.ParseUint(field, 10, 32); err == nil {
				all = append(all, uint32(g))
			}
		}
		return all
	}
	return nil
}
