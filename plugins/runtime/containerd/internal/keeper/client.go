package keeper

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	callTimeout   = 5 * time.Second
	startTimeout  = 5 * time.Second
	startInterval = 10 * time.Millisecond
)

// Client asks the keeper of a run directory, starting it where there is none.
type Client struct {
	runDir string

	mu      sync.Mutex
	conn    net.Conn
	answers *bufio.Reader
	// kept is told again to a keeper that takes the place of one that died.
	kept   map[string]struct{}
	closed bool
}

// New returns a client. Nothing is started before there is something to keep.
func New(runDir string) *Client {
	return &Client{runDir: runDir, kept: map[string]struct{}{}}
}

// Keep keeps the FIFOs of a container open. It may be repeated.
func (c *Client) Keep(id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept[id] = struct{}{}
	return c.call("keep", id)
}

// Drop lets them go.
func (c *Client) Drop(id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, id)
	if c.conn == nil && c.dial() != nil {
		// Without a keeper nothing is kept.
		return nil
	}
	return c.call("drop", id)
}

// Close leaves the keeper, which goes on.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.disconnect()
}

func (c *Client) call(verb, id string) error {
	if c.closed {
		return nil
	}
	err := c.send(verb, id)
	if err == nil {
		return nil
	}
	var refusal refused
	if errors.As(err, &refusal) {
		return err
	}
	c.disconnect()
	if err := c.connect(); err != nil {
		return err
	}
	for other := range c.kept {
		if err := c.send("keep", other); err != nil && !errors.As(err, &refusal) {
			return err
		}
	}
	return c.send(verb, id)
}

// refused is an error of the keeper's, as opposed to one of the connection.
type refused string

func (r refused) Error() string { return string(r) }

func (c *Client) send(verb, id string) error {
	if c.conn == nil {
		return net.ErrClosed
	}
	if err := c.conn.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.conn, "%s %s\n", verb, id); err != nil {
		return err
	}
	answer, err := c.answers.ReadString('\n')
	if err != nil {
		return err
	}
	if answer = strings.TrimSpace(answer); answer != "ok" {
		return refused(fmt.Sprintf("keep the output of container %s: %s", id, answer))
	}
	return nil
}

func (c *Client) disconnect() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

func (c *Client) dial() error {
	conn, err := net.Dial("unix", socketPath(c.runDir))
	if err != nil {
		return err
	}
	c.conn, c.answers = conn, bufio.NewReader(conn)
	return nil
}

// connect reaches the keeper, starting one where none answers. Of two that are
// started at once one ends: see Serve.
func (c *Client) connect() error {
	if c.dial() == nil {
		return nil
	}
	if err := c.start(); err != nil {
		return fmt.Errorf("start the keeper of containers' output: %w", err)
	}
	deadline := time.Now().Add(startTimeout)
	for {
		err := c.dial()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the keeper of containers' output does not answer: %w", err)
		}
		time.Sleep(startInterval)
	}
}

func (c *Client) start() error {
	cmd := exec.Command("/proc/self/exe", Command, c.runDir)
	cmd.Args[0] = "runtime-containerd"
	cmd.Dir = "/"
	// It has next to nothing to do: one thread's worth of a runtime, collected
	// early.
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "PINTLE_") || strings.HasPrefix(entry, "PLUGIN_")
	}), "GOMAXPROCS=1", "GOGC=20")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	// Reaps it where it ends before the plugin does; else init does.
	go func() { _ = cmd.Wait() }()
	return nil
}
