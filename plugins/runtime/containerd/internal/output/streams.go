package output

import (
	"log/slog"
	"os"
	"sync"
	"time"
)

// Streams are the outputs of one running container.
type Streams struct {
	log   *Log
	hub   hub
	holds []*os.File

	stop, ended         chan struct{}
	stopOnce, endedOnce sync.Once
	fifos               []*os.File
	pumps               sync.WaitGroup
	done                chan struct{}
}

// Options say what to read and where to write it.
type Options struct {
	Paths   Paths
	LogPath string
	Logger  *slog.Logger
	// New is set for FIFOs that the shim has not opened yet. The streams then
	// don't end before Opened was called.
	New bool
}

// Open starts to carry a container's output. Exactly one process does so at a
// time; the caller sees to that.
func Open(o Options) (*Streams, error) {
	log, err := OpenLog(o.LogPath)
	if err != nil {
		return nil, err
	}
	s := &Streams{
		log:   log,
		stop:  make(chan struct{}),
		ended: make(chan struct{}),
		done:  make(chan struct{}),
	}
	var pumps []*pump
	for _, in := range []struct {
		stream Stream
		path   string
	}{{Stdout, o.Paths.Stdout}, {Stderr, o.Paths.Stderr}} {
		if in.path == "" {
			continue
		}
		fifo, err := OpenRead(in.path)
		if err != nil {
			s.closeFiles()
			return nil, err
		}
		s.fifos = append(s.fifos, fifo)
		if o.New {
			hold, err := OpenWrite(in.path)
			if err != nil {
				s.closeFiles()
				return nil, err
			}
			s.holds = append(s.holds, hold)
		}
		pumps = append(pumps, &pump{
			stream: in.stream, fifo: fifo, log: log, hub: &s.hub, logger: o.Logger,
			stopped: s.stop, ended: s.ended,
		})
	}
	for _, p := range pumps {
		s.pumps.Go(p.run)
	}
	go func() {
		s.pumps.Wait()
		s.hub.close()
		_ = s.log.Close()
		close(s.done)
	}()
	return s, nil
}

func (s *Streams) closeFiles() {
	for _, file := range append(s.fifos, s.holds...) {
		_ = file.Close()
	}
	_ = s.log.Close()
}

// Opened says that the shim has opened the FIFOs, or never will.
func (s *Streams) Opened() {
	for _, hold := range s.holds {
		_ = hold.Close()
	}
	s.holds = nil
}

// Ended says that the container has ended.
func (s *Streams) Ended() { s.endedOnce.Do(func() { close(s.ended) }) }

// Done is closed when all output was delivered, or after Stop.
func (s *Streams) Done() <-chan struct{} { return s.done }

// Stop stops reading at once. What is not yet in the log stays in the FIFOs.
func (s *Streams) Stop() {
	s.stopOnce.Do(func() {
		close(s.stop)
		for _, fifo := range s.fifos {
			// Wakes a pump that waits for output; one that has just written to
			// the log still takes from the FIFO what it wrote.
			_ = fifo.SetReadDeadline(time.Unix(1, 0))
		}
	})
	<-s.done
}

// Reopen goes on in a new log file at the same path.
func (s *Streams) Reopen() error { return s.log.Reopen() }

// Attach starts to receive output.
func (s *Streams) Attach() *Attachment { return s.hub.attach() }
