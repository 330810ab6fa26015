package apiserver

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// watchdog cuts off clients that stopped reading. One goroutine looks at all
// streams now and then, which is far cheaper than a deadline for each write of
// each watcher.
type watchdog struct {
	mu      sync.Mutex
	streams map[*stall]struct{}
	timeout time.Duration
	stop    chan struct{}
	once    sync.Once
}

// stall is one stream that the watchdog looks at.
type stall struct {
	dog  *watchdog
	call *call
	// since is when the write that is under way began, in Unix nanoseconds; 0
	// while none is.
	since atomic.Int64
}

func newWatchdog(timeout time.Duration) *watchdog {
	d := &watchdog{streams: map[*stall]struct{}{}, timeout: timeout, stop: make(chan struct{})}
	go d.run()
	return d
}

func (d *watchdog) close() { d.once.Do(func() { close(d.stop) }) }

func (d *watchdog) watch(c *call) *stall {
	s := &stall{dog: d, call: c}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.streams[s] = struct{}{}
	return s
}

func (s *stall) begin() { s.since.Store(time.Now().UnixNano()) }
func (s *stall) end()   { s.since.Store(0) }

// leave returns once the watchdog no longer touches the stream.
func (s *stall) leave() {
	s.dog.mu.Lock()
	defer s.dog.mu.Unlock()
	delete(s.dog.streams, s)
}

func (d *watchdog) run() {
	tick := time.NewTicker(max(d.timeout/4, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-d.stop:
			return
		case now := <-tick.C:
			d.check(now)
		}
	}
}

func (d *watchdog) check(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for s := range d.streams {
		since := s.since.Load()
		if since == 0 || now.UnixNano()-since < int64(d.timeout) {
			continue
		}
		c := s.call
		c.s.log.Warn("cut off a client that does not read what it asked for",
			"path", c.r.URL.Path, "user", c.user.Name, "agent", c.r.UserAgent(), "from", c.r.RemoteAddr, "stalled", d.timeout)
		c.s.metrics.stalled.Inc()
		if err := http.NewResponseController(c.w.ResponseWriter).SetWriteDeadline(time.Unix(1, 0)); err != nil {
			c.s.log.Error("cut off a client", "path", c.r.URL.Path, "error", err)
		}
		delete(d.streams, s)
	}
}
