package host

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// signalsIgnored ignores what asks a process to end.
func signalsIgnored() {
	_ = os.Unsetenv("PINTLE_HOST_FD")
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
}

// playHost is a host in a process of its own, to be killed. It starts one
// plugin of each mode, says which processes they are, and waits.
func playHost(runDir string) {
	h, err := New(Options{RunDir: runDir})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for _, mode := range []string{"ok", "stubborn", "child"} {
		i, err := h.Start(context.Background(), Spec{Type: typeVolume, Name: "test", Executable: self, Env: []string{envMode + "=" + mode}})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(mode, i.PID())
	}
	// One more stands in the middle of its handshake.
	go func() {
		_, err := h.Start(context.Background(), Spec{Type: typeVolume, Name: "test", Executable: self, Env: []string{envMode + "=silent"}})
		fmt.Println("error", err)
	}()
	for {
		if records, _ := os.ReadDir(runDir); len(records) > 5 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	fmt.Println("ready", os.Getpid())
	select {}
}
