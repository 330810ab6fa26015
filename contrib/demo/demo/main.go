// demo runs the classic job on a cluster of this one machine and says in plain
// lines what happens: replicas behind a service, scaled up and down, a crashed
// container restarted in place, a deleted pod replaced. It starts the cluster
// where none runs, and leaves it running.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	bin := flag.String("bin", "bin", "directory of the built programs")
	stateDir := flag.String("state-dir", "/var/lib/pintle", "state directory of the server")
	args := flag.String("pintled-args", "", "more arguments for \"pintled up\", separated by spaces")
	limit := flag.Duration("timeout", 5*time.Minute, "how long the demo may take in all")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	if err := run(ctx, *bin, *stateDir, *args); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin, stateDir, args string) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("containers, networks and mounts need root: run it as root, as in \"sudo make demo\"")
	}
	started := time.Now()
	c := &cluster{bin: bin, stateDir: stateDir, log: filepath.Join(stateDir, "pintled.log")}
	if err := c.start(ctx, args); err != nil {
		return err
	}
	if err := c.importImage(ctx); err != nil {
		return err
	}
	d, err := newDemo(ctx, c)
	if err != nil {
		return err
	}
	if err := d.play(ctx); err != nil {
		return err
	}
	fmt.Printf("\nThe demo took %.1f seconds. The cluster keeps running; go on with\n\n", time.Since(started).Seconds())
	fmt.Printf("  export KUBECONFIG=%s\n", filepath.Join(stateDir, "admin.kubeconfig"))
	fmt.Println("  kubectl get pods -o wide                      # or bin/pintle get pods -o wide")
	fmt.Println("  kubectl scale rc hello-world --replicas=7")
	fmt.Println("  kubectl get plugins                           # everything that decides or acts")
	fmt.Printf("\nIts log is %s. \"make demo-down\" stops it and takes everything back.\n", c.log)
	return nil
}
