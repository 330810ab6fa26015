package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "runtimeprobe:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("nothing to do")
	}
	arg := func(i int) string {
		if i+1 < len(args) {
			return args[i+1]
		}
		return ""
	}
	number := func(i int) int {
		n, _ := strconv.Atoi(arg(i))
		return n
	}
	switch args[0] {
	case "exit":
		os.Exit(number(0))
	case "sleep":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		time.Sleep(24 * time.Hour)
	case "until-signal":
		return untilSignal(arg(0), number(1))
	case "print":
		fmt.Fprintln(os.Stdout, arg(0))
		fmt.Fprintln(os.Stderr, arg(1))
	case "lines":
		return lines(number(0), number(1))
	case "lines-slowly":
		for i := range number(0) {
			fmt.Println(i)
			time.Sleep(time.Duration(number(1)) * time.Millisecond)
		}
	case "cat":
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	case "terminal":
		return terminal()
	case "allocate":
		allocate(number(0))
	case "fork-allocate":
		_ = exec.Command("/proc/self/exe", "allocate", arg(0)).Run()
		fmt.Println("the child ended")
	case "id":
		return id()
	case "hostname":
		name, err := os.Hostname()
		fmt.Println(name)
		return err
	case "env":
		fmt.Println(os.Getenv(arg(0)))
	case "read":
		data, err := os.ReadFile(arg(0))
		os.Stdout.Write(data)
		return err
	case "write":
		return os.WriteFile(arg(0), []byte(arg(1)), 0o644)
	case "list":
		entries, err := os.ReadDir(arg(0))
		for _, entry := range entries {
			fmt.Println(entry.Name())
		}
		return err
	case "listen-local":
		return listenLocal()
	case "namespaces":
		for _, name := range []string{"net", "ipc", "uts", "pid", "mnt"} {
			target, err := os.Readlink("/proc/self/ns/" + name)
			if err != nil {
				return err
			}
			fmt.Println(target)
		}
	case "shm-write":
		return os.WriteFile(filepath.Join("/dev/shm", arg(0)), []byte(arg(1)), 0o644)
	case "shm-read":
		data, err := os.ReadFile(filepath.Join("/dev/shm", arg(0)))
		os.Stdout.Write(data)
		return err
	default:
		return fmt.Errorf("%q is nothing that I know", args[0])
	}
	return nil
}

func untilSignal(name string, code int) error {
	number := unix.SignalNum(name)
	if number == 0 {
		return fmt.Errorf("%q is no signal", name)
	}
	got := make(chan os.Signal, 1)
	signal.Notify(got, number)
	fmt.Println("ready")
	<-got
	os.Exit(code)
	return nil
}

func lines(n, length int) error {
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	for i := range n {
		line := strconv.Itoa(i) + " "
		if fill := length - len(line); fill > 0 {
			line += strings.Repeat("x", fill)
		}
		if _, err := out.WriteString(line + "\n"); err != nil {
			return err
		}
	}
	return out.Flush()
}

func terminal() error {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	for {
		size, err := unix.IoctlGetWinsize(1, unix.TIOCGWINSZ)
		if err != nil {
			fmt.Println("no terminal")
			return nil
		}
		fmt.Printf("terminal %dx%d\n", size.Col, size.Row)
		<-changed
	}
}

func allocate(mib int) {
	var kept [][]byte
	for range mib {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		kept = append(kept, block)
	}
	fmt.Println("allocated", len(kept))
}

func id() error {
	groups, err := os.Getgroups()
	if err != nil {
		return err
	}
	fmt.Println("uid", os.Getuid())
	fmt.Println("gid", os.Getgid())
	fmt.Println("groups", groups)
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		for _, key := range []string{"CapEff", "CapBnd", "NoNewPrivs", "Seccomp"} {
			if value, ok := strings.CutPrefix(line, key+":"); ok {
				fmt.Println(key, strings.TrimSpace(value))
			}
		}
	}
	return nil
}

func listenLocal() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	conn, err := net.DialTimeout("tcp", listener.Addr().String(), 5*time.Second)
	if err != nil {
		return err
	}
	fmt.Println("connected")
	return conn.Close()
}
