package nfsfuse

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// dyingPoll is how often a process that was sent a signal is looked at: the
// kernel tells of the first signal only.
const dyingPoll = 200 * time.Millisecond

// request is the context of a request: it ends when the process that made it is
// being killed. Other signals don't interrupt, since programs don't expect it
// of files; as with nfs(5), intr.
func (f *FileSystem) request(signaled <-chan struct{}, in *fuse.InHeader) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancel(f.life)
	tid := in.Pid
	go func() {
		select {
		case <-signaled:
		case <-ctx.Done():
			return
		}
		tick := time.NewTicker(dyingPoll)
		defer tick.Stop()
		for !dying(tid) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
		end()
	}()
	return ctx, end
}

// dying reports whether a thread is gone or has a SIGKILL to come, as the kernel
// sends it to every thread that a signal will end.
func dying(tid uint32) bool {
	const sigKill = 1 << (9 - 1)
	text, err := os.ReadFile("/proc/" + strconv.Itoa(int(tid)) + "/status")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if name != "SigPnd" && name != "ShdPnd" {
			continue
		}
		if set, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64); err == nil && set&sigKill != 0 {
			return true
		}
	}
	return false
}
