package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func volumeCases(h *host) []podCase {
	hostDir := filepath.Join(h.dir, "hostpath")
	return []podCase{{
		name: "files from objects, with modes and live",
		manifest: `
apiVersion: v1
kind: ConfigMap
metadata: {name: files}
data: {a: old, b: bee}
binaryData: {raw: AAEC}
---
apiVersion: v1
kind: Secret
metadata: {name: sealed}
stringData: {key: s3cret}
---
apiVersion: v1
kind: Pod
metadata: {name: files, labels: {tier: one}, annotations: {note: "hello \"you\""}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: IMAGE
    command: [sleep, "1000"]
    resources: {limits: {memory: 64Mi}}
    volumeMounts:
    - {name: config, mountPath: /config}
    - {name: some, mountPath: /some}
    - {name: secret, mountPath: /secret, readOnly: true}
    - {name: about, mountPath: /about}
    - {name: all, mountPath: /all}
    - {name: config, mountPath: /etc/one, subPath: a}
    - {name: scratch, mountPath: /scratch, subPath: deep/er}
    - {name: scratch, mountPath: /named, subPathExpr: $(POD)/logs}
    - {name: scratch, mountPath: /whole}
    env: [{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
  volumes:
  - {name: config, configMap: {name: files}}
  - {name: some, configMap: {name: files, defaultMode: 0440, items: [{key: b, path: sub/bee}, {key: raw, path: raw, mode: 0400}]}}
  - {name: secret, secret: {secretName: sealed, defaultMode: 0400}}
  - name: about
    downwardAPI:
      items:
      - {path: labels, fieldRef: {fieldPath: metadata.labels}}
      - {path: note, fieldRef: {fieldPath: "metadata.annotations['note']"}}
      - {path: memory, resourceFieldRef: {containerName: c, resource: limits.memory}}
  - name: all
    projected:
      defaultMode: 0444
      sources:
      - {configMap: {name: files, items: [{key: a, path: config/a}]}}
      - {secret: {name: sealed, items: [{key: key, path: key, mode: 0400}]}}
      - {downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}
      - {configMap: {name: nothing, optional: true}}
  - {name: scratch, emptyDir: {}}
`,
		check: func(h *host) {
			h.waitReady("files")
			show := `for f in /config/a /config/b /some/sub/bee /secret/key /about/labels /about/note /about/memory /all/config/a /all/key /all/name /etc/one; do
echo "$f $(stat -L -c %a $f) $(cat $f)"; done; stat -L -c %a /some/raw; ls /named /some; touch /scratch/x; ls /whole/deep/er; ls /whole/files`
			out, err := h.exec("files", "c", show)
			if err != nil {
				h.t.Fatal(err)
			}
			h.mustHave(lines(out),
				"/config/a 644 old", "/config/b 644 bee", "/some/sub/bee 440 bee", "400", "/secret/key 400 s3cret", `/about/labels 644 tier="one"`,
				`/about/note 644 hello "you"`, "/about/memory 644 67108864", "/all/config/a 444 old", "/all/key 400 s3cret", "/all/name 444 files", "/etc/one 644 old", "x", "logs")
			if strings.Contains(out, "\na\n") {
				h.t.Errorf("a key that was not asked for: %s", out)
			}
			h.mustKubectl("patch", "configmap", "files", "-p", `{"data":{"a":"new","b":null,"c":"sea"}}`)
			h.mustKubectl("label", "pod", "files", "--overwrite", "tier=two")
			h.mustKubectl("patch", "secret", "sealed", "-p", `{"stringData":{"key":"m0re"}}`)
			h.eventually(90*time.Second, func() error {
				out, err := h.exec("files", "c", "cat /config/a; echo; cat /config/c; echo; ls /config; cat /about/labels; echo; cat /all/config/a; echo; cat /secret/key; echo; cat /etc/one")
				if want := "new\nsea\na\nc\nraw\ntier=\"two\"\nnew\nm0re\nold"; err != nil || out != want {
					return fmt.Errorf("%q, not %q: %v", out, want, err)
				}
				return nil
			})
		},
	}, {
		name: "an empty directory in memory, shared and limited",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: memory}
spec:
  restartPolicy: Never
  containers:
  - {name: writer, image: IMAGE, command: [sh, -c, "echo shared >/m/file; dd if=/dev/zero of=/m/big bs=64k count=64; stat -f -c %T /m; touch /m/done"], volumeMounts: [{name: m, mountPath: /m}]}
  - {name: reader, image: IMAGE, command: [sh, -c, "until test -e /r/done; do sleep 0.1; done; cat /r/file; touch /r/no"], volumeMounts: [{name: m, mountPath: /r, readOnly: true}]}
  volumes: [{name: m, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]
`,
		check: func(h *host) {
			h.eventually(60*time.Second, func() error {
				out, err := h.kubectl("logs", "memory", "-c", "reader")
				if err != nil || !strings.Contains(out, "shared\n") || !strings.Contains(out, "Read-only file system") {
					return fmt.Errorf("%q, %v", out, err)
				}
				return nil
			})
			out := h.mustKubectl("logs", "memory", "-c", "writer")
			mustSay(h.t, out, "No space left on device", "tmpfs")
		},
	}, {
		name: "paths of the host",
		manifest: strings.ReplaceAll(`
apiVersion: v1
kind: Pod
metadata: {name: hostpath}
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: IMAGE
    command: [sh, -c, "echo written >/dir/x; echo more >>/file; ls -d /dir /file; test -c /null && echo device"]
    volumeMounts: [{name: dir, mountPath: /dir}, {name: file, mountPath: /file}, {name: char, mountPath: /null}, {name: any, mountPath: /any}]
  volumes:
  - {name: dir, hostPath: {path: DIR/new/dir, type: DirectoryOrCreate}}
  - {name: file, hostPath: {path: DIR/new/dir/file, type: FileOrCreate}}
  - {name: char, hostPath: {path: /dev/null, type: CharDevice}}
  - {name: any, hostPath: {path: DIR}}
---
apiVersion: v1
kind: Pod
metadata: {name: hostpath-missing}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, command: [sleep, "1000"], volumeMounts: [{name: d, mountPath: /d}]}]
  volumes: [{name: d, hostPath: {path: DIR/nothing, type: Directory}}]
---
apiVersion: v1
kind: Pod
metadata: {name: hostpath-wrong}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, command: [sleep, "1000"], volumeMounts: [{name: d, mountPath: /d}]}]
  volumes: [{name: d, hostPath: {path: /dev/null, type: File}}]
`, "DIR", hostDir),
		check: func(h *host) {
			h.mustHave(h.output("hostpath"), "/dir", "/file", "device")
			if have := read(filepath.Join(hostDir, "new/dir/x")) + read(filepath.Join(hostDir, "new/dir/file")); have != "written\nmore\n" {
				h.t.Errorf("on the host: %q", have)
			}
			h.eventsOf(h.t, "hostpath-missing", filepath.Join(hostDir, "nothing"))
			h.eventsOf(h.t, "hostpath-wrong", "/dev/null")
			mustSay(h.t, h.mustKubectl("get", "pod", "hostpath-missing"), "ContainerCreating")
			if err := os.MkdirAll(filepath.Join(hostDir, "nothing"), 0o755); err != nil {
				h.t.Fatal(err)
			}
			h.waitReady("hostpath-missing")
		},
	}, {
		name: "a volume whose object is not there yet",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: waiting}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, command: [cat, /v/k], volumeMounts: [{name: v, mountPath: /v}]}]
  volumes: [{name: v, secret: {secretName: late}}]
`,
		check: func(h *host) {
			h.eventsOf(h.t, "waiting", "FailedMount")
			h.eventsOf(h.t, "waiting", `"late" not found`)
			h.mustKubectl("create", "secret", "generic", "late", "--from-literal=k=v")
			if out := h.output("waiting"); fmt.Sprint(out) != "[v]" {
				h.t.Errorf("output: %q", out)
			}
		},
	}, {
		name: "a symbolic link does not lead out of a volume",
		manifest: `
apiVersion: v1
kind: Pod
metadata: {name: escape}
spec:
  terminationGracePeriodSeconds: 0
  initContainers: [{name: i, image: IMAGE, command: [sh, -c, "busybox ln -s /etc /v/link"], volumeMounts: [{name: v, mountPath: /v}]}]
  containers: [{name: c, image: IMAGE, command: [sleep, "1000"], volumeMounts: [{name: v, mountPath: /x, subPath: link}]}]
  volumes: [{name: v, emptyDir: {}}]
`,
		check: func(h *host) {
			h.waitWaiting("escape", "c", "CreateContainerConfigError", "link")
		},
	}}
}
