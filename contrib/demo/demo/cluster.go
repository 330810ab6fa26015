package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// image of the web server, made by "make demo" and imported from the archive.
const image = "pintle.io/demo/webserver:1"

// cluster is the machine's own.
type cluster struct {
	bin, stateDir, log string
	client             kubernetes.Interface
}

// start makes the cluster run and waits until its node is ready.
func (c *cluster) start(ctx context.Context, args string) error {
	var ended <-chan error
	if c.ready(ctx) == nil {
		say("a cluster runs on this machine already: using it")
	} else {
		var err error
		if ended, err = c.launch(args); err != nil {
			return err
		}
	}
	begun := time.Now()
	err := poll(ctx, func() error {
		select {
		case err := <-ended:
			return fatal(fmt.Errorf("pintled ended (%v); the end of its log:\n%s", err, c.tail()))
		default:
			return c.ready(ctx)
		}
	})
	if err != nil {
		return fmt.Errorf("the node did not become ready: %w; see %s", err, c.log)
	}
	say("the node is ready after %.1f s", time.Since(begun).Seconds())
	return nil
}

// launch starts pintled in a session of its own, so that it outlives the demo.
func (c *cluster) launch(args string) (<-chan error, error) {
	if err := os.MkdirAll(c.stateDir, 0o700); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	argv := append([]string{"up", "--state-dir", c.stateDir}, strings.Fields(args)...)
	cmd := exec.Command(filepath.Join(c.bin, "pintled"), argv...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	say("starting %s", strings.Join(cmd.Args, " "))
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return ended, nil
}

func (c *cluster) tail() string {
	content, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// ready tells whether the cluster answers and has a ready node.
func (c *cluster) ready(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(c.stateDir, "admin.kubeconfig"))
	if err != nil {
		return err
	}
	config.Timeout = 10 * time.Second
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	why := errors.New("there is no node yet")
	for _, n := range nodes.Items {
		for _, condition := range n.Status.Conditions {
			if condition.Type != corev1.NodeReady {
				continue
			}
			if condition.Status == corev1.ConditionTrue {
				config.Timeout = 0
				c.client, err = kubernetes.NewForConfig(config)
				return err
			}
			why = fmt.Errorf("node %s: %s", n.Name, condition.Message)
		}
	}
	return why
}

func (c *cluster) importImage(ctx context.Context) error {
	archive := filepath.Join(c.bin, "demo", "webserver.tar")
	build := exec.CommandContext(ctx, filepath.Join(c.bin, "demo", "image"), "-binary", filepath.Join(c.bin, "demo", "webserver"), "-tag", image, "-out", archive)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("making the demo image: %w: %s", err, out)
	}
	load := exec.CommandContext(ctx, filepath.Join(c.bin, "pintle"), "--kubeconfig", filepath.Join(c.stateDir, "admin.kubeconfig"), "image", "import", archive)
	out, err := load.CombinedOutput()
	if err != nil {
		return fmt.Errorf("importing the demo image: %w: %s", err, out)
	}
	say("imported the image of the web server: %s", strings.TrimSpace(string(out)))
	return nil
}

func say(format string, args ...any) {
	fmt.Printf("%s  %s\n", time.Now().Format("15:04:05.0"), fmt.Sprintf(format, args...))
}

// fatalError ends a poll.
type fatalError struct{ error }

func fatal(err error) error { return fatalError{err} }

// poll repeats until check is content, or its error is fatal, or time is up;
// then it returns the last error.
func poll(ctx context.Context, check func() error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		var f fatalError
		if err == nil || errors.As(err, &f) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}
