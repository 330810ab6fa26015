package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"

	"github.com/vishvananda/netns"
	"k8s.io/apimachinery/pkg/types"
)

type podUID = types.UID

// dialIn connects to localhost in a network namespace, the node's own where the
// path is empty.
func dialIn(ctx context.Context, namespace, port string) (net.Conn, error) {
	if namespace == "" {
		return dialLocal(ctx, port)
	}
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		conn, err := dialThere(ctx, namespace, port)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// dialThere runs on a thread of its own: network namespaces belong to threads,
// and a socket to the namespace that its thread was in when it was made. A
// thread that can't return is left locked, so that it ends with its goroutine.
func dialThere(ctx context.Context, namespace, port string) (net.Conn, error) {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("finding the node's network namespace: %w", err)
	}
	defer func() { _ = home.Close() }()
	there, err := netns.GetFromPath(namespace)
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("opening the pod's network namespace: %w", err)
	}
	defer func() { _ = there.Close() }()
	if err := netns.Set(there); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("entering the pod's network namespace: %w", err)
	}
	conn, err := dialLocal(ctx, port)
	if netns.Set(home) == nil {
		runtime.UnlockOSThread()
	}
	return conn, err
}

// dialLocal tries one address after the other, each with a socket made by the
// calling thread: net.Dialer does so for a literal address.
func dialLocal(ctx context.Context, port string) (net.Conn, error) {
	var failed []error
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}
