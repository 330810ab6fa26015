package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func streamCases() []podCase {
	return []podCase{{
		name: "logs of one container, and since",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: talk}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: a, image: IMAGE, command: [sh, -c, "echo a says; sleep 1000"]}
  - {name: b, image: IMAGE, command: [sh, -c, "echo b says; echo b warns >&2; i=0; while :; do i=$((i+1)); echo b counts $i; sleep 1; done"]}
---
apiVersion: v1
kind: Pod
metadata: {name: silent}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, command: [sleep, "1000"], envFrom: [{configMapRef: {name: nobody}}]}]
`,
		check: func(h *host) {
			h.waitReady("talk")
			h.waitWaiting("silent", "c", "CreateContainerConfigError", "nobody")
			if out := h.mustKubectl("logs", "talk", "-c", "a"); out != "a says\n" {
				h.t.Errorf("a: %q", out)
			}
			mustSay(h.t, h.mustKubectl("logs", "talk", "-c", "b"), "b says\n", "b warns\n")
			mustSay(h.t, h.mustKubectl("logs", "talk", "--all-containers", "--prefix"), "[pod/talk/a] a says", "[pod/talk/b] b says")
			if out := h.mustKubectl("logs", "talk", "-c", "a", "--since=1s"); out != "" {
				h.t.Errorf("a, since one second: %q", out)
			}
			if out := h.mustKubectl("logs", "talk", "-c", "a", "--limit-bytes=5"); out != "a say" {
				h.t.Errorf("five bytes: %q", out)
			}
			if out, err := h.kubectl("logs", "talk", "-c", "nobody"); err == nil || !strings.Contains(err.Error(), "container nobody is not valid for pod talk") {
				h.t.Errorf("a container that is not there: %q, %v", out, err)
			}
			if out, err := h.kubectl("logs", "silent"); err == nil || !strings.Contains(err.Error(), `container "c" in pod "silent" is waiting to start: CreateContainerConfigError`) {
				h.t.Errorf("a container that never ran: %q, %v", out, err)
			}
			if out, err := h.exec("silent", "c", "true"); err == nil || !strings.Contains(err.Error(), "waiting to start") {
				h.t.Errorf("exec in a container that never ran: %q, %v", out, err)
			}
		},
	}, {
		name: "exec, attach and copy",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: streams}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: IMAGE, stdin: true, command: [sh, -c, "while read line; do echo got $line; echo heard $line >>/tmp/heard; done; sleep 1000"]}
  - {name: tty, image: IMAGE, stdin: true, tty: true, command: [sh]}
  - {name: web, image: "` + image + `", env: [{name: PORT, value: "8080"}]}
`,
		check: func(h *host) {
			h.waitReady("streams")
			large := strings.Repeat("0123456789abcdef", 1<<16)
			if out, err := h.kubectlWith(large, "exec", "-i", "streams", "-c", "c", "--", "cat"); err != nil || out != large {
				h.t.Errorf("cat gave %d bytes of %d: %v", len(out), len(large), err)
			}
			out, err := h.terminal("exec -it streams -c c -- sh", "test -t 0 && echo a term'inal'\nstty size\nexit 3\n")
			if !strings.Contains(out, "a terminal") {
				h.t.Errorf("a terminal: %q, %v", out, err)
			}
			mustSay(h.t, fmt.Sprint(out, err), "exit code 3")

			h.attach("streams", "c", "hello", "got hello")
			if out, err := h.exec("streams", "c", "cat /tmp/heard"); err != nil || out != "heard hello\n" {
				h.t.Errorf("heard: %q, %v", out, err)
			}
			if out, _ := h.terminal("attach -it streams -c tty", "echo at'tach'ed; echo $TERM\n"); !strings.Contains(out, "attached") {
				h.t.Errorf("attach to a terminal: %q", out)
			}

			there := filepath.Join(h.dir, "there")
			if err := os.WriteFile(there, []byte(large), 0o640); err != nil {
				h.t.Fatal(err)
			}
			h.mustKubectl("cp", there, "streams:/tmp/copy", "-c", "c")
			h.mustKubectl("cp", "streams:/tmp/copy", there+".back", "-c", "c")
			if read(there+".back") != large {
				h.t.Error("what was copied there and back is not the same")
			}
			h.forward("streams", "8080", func(url string) {
				mustSay(h.t, h.must("curl", "-sS", "-m", "5", url), "Hello from streams")
				mustSay(h.t, h.must("curl", "-sS", "-m", "5", url), "Hello from streams")
			})
		},
	}}
}

// terminal runs kubectl in a terminal and types into it.
func (h *host) terminal(command, typed string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	cmd := h.command(ctx, "script", "-q", "-e", "-c", "kubectl --kubeconfig "+filepath.Join(h.stateDir(), "admin.kubeconfig")+" "+command, "/dev/null")
	cmd.Env = append(os.Environ(), "HOME="+h.dir, "TERM=xterm")
	cmd.Stdin = strings.NewReader(typed)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// attach writes a line to a container and waits for its answer.
func (h *host) attach(pod, container, line, answer string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := h.command(ctx, "kubectl", "--kubeconfig", filepath.Join(h.stateDir(), "admin.kubeconfig"), "attach", "-i", pod, "-c", container)
	cmd.Env = append(os.Environ(), "HOME="+h.dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	if _, err := fmt.Fprintln(stdin, line); err != nil {
		h.t.Error(err)
	}
	answered := false
	for scanner := bufio.NewScanner(stdout); !answered && scanner.Scan(); {
		answered = scanner.Text() == answer
	}
	if !answered {
		h.t.Errorf("%s/%s did not answer %q with %q", pod, container, line, answer)
	}
	cancel()
	cmd.Wait() // It was ended by its context.
}

// forward makes a port of a pod reachable while something is done with it.
func (h *host) forward(pod, port string, do func(url string)) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := h.command(ctx, "kubectl", "--kubeconfig", filepath.Join(h.stateDir(), "admin.kubeconfig"), "port-forward", "pod/"+pod, ":"+port)
	cmd.Env = append(os.Environ(), "HOME="+h.dir)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	defer cmd.Wait() // It is ended by its context.
	defer cancel()
	line, err := bufio.NewReader(stdout).ReadString('\n') // "Forwarding from 127.0.0.1:41234 -> 8080"
	fields := strings.Fields(line)
	if err != nil || len(fields) != 5 {
		h.t.Fatalf("port-forward: %q, %v", line, err)
	}
	do("http://" + fields[2] + "/")
}
