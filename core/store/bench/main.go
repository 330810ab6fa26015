package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

type config struct {
	dir      string
	seconds  time.Duration
	watchers []int
}

func main() {
	var c config
	flag.StringVar(&c.dir, "dir", os.TempDir(), "directory on the disk to be measured")
	flag.DurationVar(&c.seconds, "time", 3*time.Second, "how long each row is measured")
	flag.Parse()
	c.watchers = []int{1, 100, 5000}
	if err := run(context.Background(), c); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) error {
	dir, err := os.MkdirTemp(c.dir, "store-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("%s, %s, %d CPUs, %s\n\n", time.Now().UTC().Format("2006-01-02"), cpuModel(), runtime.NumCPU(), runtime.Version())

	raw, err := syncRate(filepath.Join(dir, "raw"), c.seconds)
	if err != nil {
		return err
	}
	ours, err := openOurs(filepath.Join(dir, "ours"))
	if err != nil {
		return err
	}
	defer ours.close()
	peer, err := startEtcd(ctx, filepath.Join(dir, "etcd"))
	if err != nil {
		return err
	}
	defer peer.close()

	t := newTable()
	t.row("append of 1 KiB and fdatasync", "", fmt.Sprintf("%.0f/s", raw), "", "")
	for _, clients := range []int{1, 64, 512} {
		a, err := puts(ctx, ours, clients, c.seconds)
		if err != nil {
			return err
		}
		b, err := puts(ctx, peer, clients, c.seconds)
		if err != nil {
			return err
		}
		t.rates(fmt.Sprintf("durable put, 1 KiB, %d clients", clients), a, b)
		if clients == 1 {
			t.row("  of the disk's sync rate", fmt.Sprintf("%.0f%%", 100*a/raw), fmt.Sprintf("%.0f%%", 100*b/raw), "", "")
		}
	}
	if err := reads(ctx, c, t, ours, peer); err != nil {
		return err
	}
	for _, n := range c.watchers {
		a, err := watches(ctx, ours, n)
		if err != nil {
			return err
		}
		b, err := watches(ctx, peer, n)
		if err != nil {
			return err
		}
		t.latencies(fmt.Sprintf("put to event, %d watchers", n), a, b)
	}
	t.print(os.Stdout)
	fmt.Printf("\nResident after the run: this process, with its clients of etcd, %d MiB; etcd %d MiB.\n", residentMiB(os.Getpid()), residentMiB(peer.pid()))
	return nil
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, "\t :\n")
		}
	}
	return "unknown CPU"
}

func residentMiB(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, resident int
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return 0
	}
	return resident * os.Getpagesize() >> 20
}
