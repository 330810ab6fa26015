package host

import (
	"bytes"
	"os"
	"runtime"
	"runtime/pprof"
	"syscall"
	"testing"
	"time"
)

// TestNoLeaks: plugins may come and go for ever, however they go, without
// costing the host a goroutine, a descriptor or a file.
func TestNoLeaks(t *testing.T) {
	h, _ := newHost(t, func(o *Options) { o.HandshakeTimeout = 300 * time.Millisecond })
	round := func() {
		for _, mode := range []string{"exit", "garbage", "configure-exit", "line:1|1|unix|/nowhere|grpc", "silent"} {
			if _, err := h.Start(t.Context(), spec(t, mode)); err == nil {
				t.Fatalf("%s starts", mode)
			}
		}
		h.opts.HandshakeTimeout = 20 * time.Second
		defer func() { h.opts.HandshakeTimeout = 300 * time.Millisecond }()
		for _, end := range []func(*Instance){
			func(i *Instance) { _ = i.Stop(t.Context()) },
			func(i *Instance) { _ = syscall.Kill(i.PID(), syscall.SIGKILL) },
		} {
			i, err := h.Start(t.Context(), spec(t, "ok"))
			if err != nil {
				t.Fatal(err)
			}
			end(i)
			<-i.cleaned
		}
	}
	count := func() (goroutines, descriptors int) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return runtime.NumGoroutine(), len(entries)
	}
	round()
	var goroutines, descriptors int
	// What the first round leaves to the runtime and to gRPC settles.
	eventually(t, "the host settles", func() bool {
		g, d := count()
		settled := g == goroutines && d == descriptors
		goroutines, descriptors = g, d
		time.Sleep(drainTime / 2)
		return settled
	})
	const rounds = 2
	for range rounds {
		round()
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		g, d := count()
		if g <= goroutines && d <= descriptors {
			return
		}
		if time.Now().After(deadline) {
			var dump bytes.Buffer
			_ = pprof.Lookup("goroutine").WriteTo(&dump, 1)
			t.Fatalf("after %d rounds: %d goroutines, were %d; %d descriptors, were %d\n%s", rounds, g, goroutines, d, descriptors, dump.String()[:min(dump.Len(), 6000)])
		}
		time.Sleep(20 * time.Millisecond)
	}
}
