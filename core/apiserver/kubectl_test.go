package apiserver_test

import (
	"bufio"
	"fmt"
	"strings"
	"testing"
	"time"
)

const manifest = `
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - {name: c, image: nginx, ports: [{containerPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: rc}
spec:
  replicas: 2
  selector: {a: b}
  template:
    metadata: {labels: {a: b}}
    spec: {containers: [{name: c, image: nginx}]}
`

// An unmodified kubectl does its everyday work.
func TestKubectl(t *testing.T) {
	c := newCluster(t, nil)
	for _, step := range []struct {
		stdin string
		args  string
		want  []string
	}{
		{args: "get nodes", want: []string{"No resources found"}},
		{args: "get namespaces", want: []string{"NAME", "STATUS", "AGE", "kube-system", "Active"}},
		{args: "api-resources", want: []string{"replicationcontrollers", "pintle.io/v1"}},
		{stdin: manifest, args: "apply -f -", want: []string{"pod/web created", "service/web created", "replicationcontroller/rc created"}},
		{stdin: manifest, args: "apply -f -", want: []string{"pod/web unchanged", "service/web unchanged", "replicationcontroller/rc unchanged"}},
		{stdin: strings.Replace(manifest, "replicas: 2", "replicas: 3", 1), args: "apply -f -", want: []string{"pod/web unchanged", "replicationcontroller/rc configured"}},
		{stdin: manifest, args: "apply --server-side --force-conflicts -f -", want: []string{"pod/web serverside-applied", "replicationcontroller/rc serverside-applied"}},
		{stdin: manifest, args: "diff -f -"},
		{args: "get pods -o wide", want: []string{"NOMINATED NODE", "web    0/1     Pending"}},
		{args: "get pods web -o yaml", want: []string{"kind: Pod\n", "imagePullPolicy: Always\n"}},
		{args: "get pods -o jsonpath={.items[0].metadata.name}", want: []string{"web"}},
		{args: "get pods -l app=web -o name", want: []string{"pod/web\n"}},
		{args: "get pods -l app=other", want: []string{"No resources found"}},
		{args: "get pods --field-selector=metadata.name=web --show-labels", want: []string{"app=web"}},
		{args: "get all -A", want: []string{"service/kubernetes", "replicationcontroller/rc", "pod/web"}},
		{args: "get rc --chunk-size=1", want: []string{"DESIRED", "rc"}},
		{args: "describe pod web", want: []string{"Name:", "Image:        nginx"}},
		{args: "describe service web", want: []string{"Selector:", "app=web"}},
		{args: "label pod web tier=front", want: []string{"pod/web labeled"}},
		{args: "annotate pod web note=x", want: []string{"pod/web annotated"}},
		{args: "scale rc rc --replicas=5", want: []string{"replicationcontroller/rc scaled"}},
		{args: "get rc rc -o jsonpath={.spec.replicas}", want: []string{"5"}},
		{args: "run other --image=busybox", want: []string{"pod/other created"}},
		{args: "expose pod web --name=web2 --port=80", want: []string{"service/web2 exposed"}},
		{args: "create configmap cm --from-literal=a=b", want: []string{"configmap/cm created"}},
		{args: "create secret generic s --from-literal=a=b", want: []string{"secret/s created"}},
		{args: `patch configmap cm --type=json -p [{"op":"add","path":"/data/z","value":"q"}]`, want: []string{"configmap/cm patched"}},
		{args: `patch configmap cm --type=merge -p {"data":{"a":null}}`, want: []string{"configmap/cm patched"}},
		{args: "get configmap cm -o jsonpath={.data}", want: []string{`{"z":"q"}`}},
		{stdin: "# YAML\n{apiVersion: v1, kind: ConfigMap, metadata: {name: cm}, data: {k: v}}", args: "replace -f -", want: []string{"configmap/cm replaced"}},
		{args: "explain pod.spec.containers.ports", want: []string{"FIELD: ports <[]ContainerPort>", "containerPort\t<integer> -required-"}},
		{args: "explain plugin --recursive", want: []string{"GROUP:      pintle.io", "executable\t<string>"}},
		{args: "delete pod web other", want: []string{`pod "web" deleted`, `pod "other" deleted`}},
		{args: "delete configmaps --all", want: []string{`configmap "cm" deleted`}},
		{args: "auth can-i create pods", want: []string{"yes"}},
		{args: "auth whoami", want: []string{"pintle-admin", "system:masters"}},
		{args: "get --raw /readyz?verbose", want: []string{"[+]store ok", "readyz check passed"}},
		{args: "version", want: []string{"Server Version: v1.37"}},
	} {
		out := c.mustKubectl(step.stdin, strings.Fields(step.args)...)
		for _, want := range step.want {
			if !strings.Contains(out, want) {
				t.Errorf("kubectl %s: no %q in:\n%s", step.args, want, out)
			}
		}
	}
}

// What is wrong is said, in the words that people know.
func TestKubectlErrors(t *testing.T) {
	c := newCluster(t, nil)
	const misspelt = "# YAML\n{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containerz: [], containers: [{name: c, image: x, imag: y}]}}"
	for _, step := range []struct{ stdin, args, want string }{
		{"", "get pod nope", `Error from server (NotFound): pods "nope" not found`},
		{"", "get nonsense", `the server doesn't have a resource type "nonsense"`},
		{misspelt, "create -f -", `strict decoding error: unknown field "spec.containers[0].imag", unknown field "spec.containerz"`},
		{misspelt, "create -n nowhere --validate=warn -f -", `namespaces "nowhere" not found`},
		{"# YAML\n{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {}}", "create -f -", "spec.containers: Required value"},
		{"# YAML\n{apiVersion: v1, kind: Pod, metadata: {name: A_}, spec: {containers: [{name: c, image: x}]}}", "create -f -", "metadata.name: Invalid value"},
		{"# YAML\n{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}", "apply -f -", `no matches for kind "Deployment" in version "apps/v1"`},
		{"a: [", "apply -f -", "error converting YAML to JSON"},
		{"", "get pods --field-selector=spec.color=red", "field label not supported: spec.color"},
		{"", "get pods -l a=b=c", `unable to parse label selector "a=b=c"`},
		{"", "logs nope", `pods "nope" not found`},
		{"", "get pods --as=someone", "impersonation (--as, Impersonate-User) is not served"},
		{"", "delete namespace default", "forbidden"},
	} {
		out, err := c.kubectl(step.stdin, strings.Fields(step.args)...)
		if err == nil {
			t.Errorf("kubectl %s succeeded:\n%s", step.args, out)
		}
		if !strings.Contains(out, step.want) {
			t.Errorf("kubectl %s: no %q in:\n%s", step.args, step.want, out)
		}
	}
	out := c.mustKubectl(misspelt, "create", "--validate=warn", "-f", "-")
	if !strings.Contains(out, `Warning: unknown field "spec.containerz"`) {
		t.Errorf("no warning in:\n%s", out)
	}
}

func TestKubectlWatch(t *testing.T) {
	c := newCluster(t, nil)
	watch := c.kubectlCommand("", "get", "pods", "-w", "--output-watch-events")
	pipe, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(pipe); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	defer func() {
		_ = watch.Process.Kill()
		_ = watch.Wait()
	}()
	expect := func(fields ...string) {
		t.Helper()
		select {
		case line := <-lines:
			if got := strings.Fields(line); fmt.Sprint(got[:min(len(fields), len(got))]) != fmt.Sprint(fields) {
				t.Fatalf("got %q, want it to begin with %q", line, fields)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("waited 30 s for %q", fields)
		}
	}
	// kubectl lists before it watches, so the first pod may come either way.
	c.mustKubectl("", "run", "a", "--image=x")
	expect("EVENT", "NAME", "READY", "STATUS")
	expect("ADDED", "a", "0/1", "Pending")
	c.mustKubectl("", "label", "pod", "a", "x=y")
	expect("MODIFIED", "a")
	c.mustKubectl("", "delete", "pod", "a")
	expect("DELETED", "a")
}
