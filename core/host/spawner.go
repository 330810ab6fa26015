package host

import (
	"os/exec"
	"runtime"
	"sync"
)

// spawner starts processes from one operating system thread that lives as long
// as the host. The kernel sends a child its parent-death signal when the thread
// that forked it ends, not the process (prctl(2), PR_SET_PDEATHSIG), and Go
// ends threads as it likes.
type spawner struct {
	requests chan spawnRequest
	quit     chan struct{}
	quitOnce sync.Once
	ended    chan struct{}
}

type spawnRequest struct {
	cmd  *exec.Cmd
	done chan error
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan spawnRequest), quit: make(chan struct{}), ended: make(chan struct{})}
	go s.run()
	return s
}

func (s *spawner) run() {
	// Never unlocked: the thread ends with this goroutine.
	runtime.LockOSThread()
	defer close(s.ended)
	for {
		select {
		case r := <-s.requests:
			r.done <- r.cmd.Start()
		case <-s.quit:
			return
		}
	}
}

// start is cmd.Start on the spawner's thread.
func (s *spawner) start(cmd *exec.Cmd) error {
	r := spawnRequest{cmd: cmd, done: make(chan error, 1)}
	select {
	case s.requests <- r:
		return <-r.done
	case <-s.ended:
		return errClosed
	}
}

// close ends the thread. Children that still run get the signal.
func (s *spawner) close() {
	s.quitOnce.Do(func() { close(s.quit) })
	<-s.ended
}
