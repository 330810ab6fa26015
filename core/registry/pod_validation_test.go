package registry_test

import (
	"testing"

	"github.com/pintle-io/pintle/core/registry"
)

// The expected texts are Kubernetes' own, as kubectl shows them.
func TestPodValidation(t *testing.T) {
	r := builtin(t, registry.Options{})
	const dns1123 = `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`
	for _, c := range []struct {
		name, manifest string
		want           []string
	}{
		{"valid", podWith("restartPolicy: Never"), nil},
		{"no containers", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {}", []string{"spec.containers: Required value"}},
		{"no name, no image", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{}]}", []string{
			"spec.containers[0].name: Required value", "spec.containers[0].image: Required value"}},
		{"names", "apiVersion: v1\nkind: Pod\nmetadata: {name: Bad_Name}\nspec: {containers: [{name: A, image: i}, {name: b, image: ' i'}, {name: b, image: i}]}", []string{
			`metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
			`spec.containers[0].name: Invalid value: "A": ` + dns1123,
			`spec.containers[1].image: Invalid value: " i": must not have leading or trailing whitespace`,
			`spec.containers[2].name: Duplicate value: "b"`}},
		{"enums", podManifest("image: i\nimagePullPolicy: Sometimes\nterminationMessagePolicy: Never", "restartPolicy: Maybe\ndnsPolicy: Mine"), []string{
			`spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"`,
			`spec.containers[0].terminationMessagePolicy: Unsupported value: "Never": supported values: "File", "FallbackToLogsOnError"`,
			`spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Never"`,
			`spec.dnsPolicy: Unsupported value: "Mine": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"`}},
		{"ports", podManifest("image: i\nports: [{}, {containerPort: 70000}, {containerPort: 80, protocol: ICMP}, {name: a, containerPort: 1, hostPort: 5}, {name: a, containerPort: 2, hostPort: 5}]", ""), []string{
			"spec.containers[0].ports[0].containerPort: Required value",
			"spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
			`spec.containers[0].ports[2].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"`,
			`spec.containers[0].ports[4].name: Duplicate value: "a"`,
			`spec.containers[0].ports[4].hostPort: Duplicate value: "TCP//5"`}},
		{"host network ports", podManifest("image: i\nports: [{containerPort: 80, hostPort: 81}]", "hostNetwork: true"), []string{
			"spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true"}},
		{"resources", podManifest("image: i\nresources: {requests: {cpu: 2, memory: -1, foo: 1, example.com/gpu: 1500m}, limits: {cpu: 1, example.com/gpu: 2}}", ""), []string{
			`spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1`,
			`spec.containers[0].resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0`,
			`spec.containers[0].resources.requests[foo]: Invalid value: "foo": must be a standard resource for containers`,
			`spec.containers[0].resources.requests[example.com/gpu]: Invalid value: "1500m": must be an integer`,
			`spec.containers[0].resources.requests: Invalid value: "1500m": must be equal to example.com/gpu limit of 2`}},
		{"env", podManifest("image: i\nenv: [{}, {name: 'a=b'}, {name: x, valueFrom: {}}, {name: x, value: v, valueFrom: {fieldRef: {fieldPath: spec.nope}}}, {name: w, valueFrom: {fieldRef: {fieldPath: status.phase}}}, {name: z, valueFrom: {configMapKeyRef: {name: c}, secretKeyRef: {name: s, key: k}}}, {name: l, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}]\nenvFrom: [{}]", ""), []string{
			"spec.containers[0].env[0].name: Required value",
			`spec.containers[0].env[1].name: Invalid value: "a=b": a valid environment variable name must consist only of printable ASCII characters other than '='`,
			"spec.containers[0].env[2].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
			`spec.containers[0].env[3].valueFrom.fieldRef.fieldPath: Invalid value: "spec.nope": error converting fieldPath: field label not supported: spec.nope`,
			"spec.containers[0].env[3].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
			`spec.containers[0].env[4].valueFrom.fieldRef.fieldPath: Unsupported value: "status.phase": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"`,
			"spec.containers[0].env[5].valueFrom.configMapKeyRef.key: Required value",
			`spec.containers[0].env[5].valueFrom: Invalid value: "": may not have more than one field specified at a time`,
			"spec.containers[0].envFrom[0]: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`"}},
		{"resource fields", podManifest("image: i\nenv: [{name: x, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1Mi}}}, {name: w, valueFrom: {resourceFieldRef: {resource: limits.gpu}}}]", ""), []string{
			`spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor's values 1m and 1 are supported with the cpu resource`,
			`spec.containers[0].env[1].valueFrom.resourceFieldRef.resource: Unsupported value: "limits.gpu": supported values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"`}},
		{"probes", podManifest(`
image: i
livenessProbe: {successThreshold: 2, exec: {command: [a]}}
readinessProbe: {periodSeconds: -1, terminationGracePeriodSeconds: 5, httpGet: {port: 0, scheme: ftp}}
startupProbe: {terminationGracePeriodSeconds: 0, exec: {}, tcpSocket: {port: p}}
lifecycle: {preStop: {sleep: {seconds: 31}}, postStart: {}}`, ""), []string{
			"spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
			"spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
			"spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes",
			"spec.containers[0].readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
			`spec.containers[0].readinessProbe.httpGet.scheme: Unsupported value: "ftp": supported values: "HTTP", "HTTPS"`,
			"spec.containers[0].startupProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0",
			"spec.containers[0].startupProbe.exec.command: Required value",
			"spec.containers[0].startupProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
			"spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
			"spec.containers[0].lifecycle.postStart: Required value: must specify a handler type"}},
		{"stop signal", podManifest("image: i\nlifecycle: {stopSignal: SIGUSR1}", ""), []string{
			"spec.containers[0].lifecycle.stopSignal: Forbidden: may not be set for containers with empty `spec.os.name`"}},
		{"stop signal of Linux", podManifest("image: i\nlifecycle: {stopSignal: SIGRTMIN+3}", "os: {name: linux}"), nil},
		{"init containers", podWith("initContainers: [{name: c, image: i, livenessProbe: {exec: {command: [a]}}}, {name: s, image: i, restartPolicy: Always, readinessProbe: {tcpSocket: {port: 1}}}, {name: t, image: i, restartPolicy: Never}]"), []string{
			"spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
			`spec.initContainers[0].name: Duplicate value: "c"`,
			`spec.initContainers[2].restartPolicy: Unsupported value: "Never": supported values: "Always"`}},
		{"mounts", podManifest("image: i\nvolumeMounts: [{name: nope, mountPath: /a}, {name: v, mountPath: /a}, {name: v, mountPath: /b, subPath: ../x}, {name: v}, {name: v, mountPath: /c, mountPropagation: Bidirectional}, {name: v, mountPath: /d, subPath: /abs, subPathExpr: x}]", "volumes: [{name: v}]"), []string{
			`spec.containers[0].volumeMounts[0].name: Not found: "nope"`,
			`spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique`,
			`spec.containers[0].volumeMounts[2].subPath: Invalid value: "../x": must not contain '..'`,
			"spec.containers[0].volumeMounts[3].mountPath: Required value",
			"spec.containers[0].volumeMounts[4].mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers",
			`spec.containers[0].volumeMounts[5].subPath: Invalid value: "/abs": must be a relative path`,
			`spec.containers[0].volumeMounts[5].subPathExpr: Invalid value: "x": subPathExpr and subPath are mutually exclusive`}},
		{"volumes", podWith(`
volumes:
- {name: a, emptyDir: {}, hostPath: {path: /x}}
- {name: a, hostPath: {path: ""}}
- {name: nn, nfs: {path: x}}
- {name: s, secret: {defaultMode: 512, items: [{key: k, path: ..x}, {path: /p}]}}
- {name: m, configMap: {name: m, items: [{key: k, path: a/../b}]}}
- {name: d, downwardAPI: {items: [{path: p}, {path: q, fieldRef: {fieldPath: status.podIP}}, {path: r, resourceFieldRef: {resource: limits.cpu}}]}}
- {name: p, projected: {sources: [{}, {configMap: {name: c, items: [{key: k, path: same}]}}, {secret: {name: s, items: [{key: k, path: same}]}}]}}
- {name: k, csi: {driver: ""}}
- {name: h, hostPath: {path: /x, type: Folder}}
- {name: e, emptyDir: {sizeLimit: -1}}`), []string{
			"spec.volumes[0].emptyDir: Forbidden: may not specify more than 1 volume type",
			`spec.volumes[1].name: Duplicate value: "a"`,
			"spec.volumes[1].hostPath.path: Required value",
			"spec.volumes[2].nfs.server: Required value",
			`spec.volumes[2].nfs.path: Invalid value: "x": must be an absolute path`,
			"spec.volumes[3].secret.secretName: Required value",
			"spec.volumes[3].secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
			`spec.volumes[3].secret.items[0].path: Invalid value: "..x": must not start with '..'`,
			"spec.volumes[3].secret.items[1].key: Required value",
			`spec.volumes[3].secret.items[1].path: Invalid value: "/p": must be a relative path`,
			`spec.volumes[4].configMap.items[0].path: Invalid value: "a/../b": must not contain '..'`,
			"spec.volumes[5].downwardAPI.items[0]: Required value: one of fieldRef and resourceFieldRef is required",
			`spec.volumes[5].downwardAPI.items[1].fieldRef.fieldPath: Unsupported value: "status.podIP": supported values: "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"`,
			"spec.volumes[5].downwardAPI.items[2].resourceFieldRef.containerName: Required value",
			"spec.volumes[6].projected.sources[0]: Required value: must specify a volume type",
			`spec.volumes[6].projected.sources[2].secret: Invalid value: "s": conflicting duplicate paths`,
			"spec.volumes[7].csi.driver: Required value",
			`spec.volumes[8].hostPath.type: Unsupported value: "Folder": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"`,
			"spec.volumes[9].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity"}},
		{"dns", podWith("dnsPolicy: None\nhostAliases: [{ip: x, hostnames: [ok, Bad]}]"), []string{
			"spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
			`spec.hostAliases[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`,
			`spec.hostAliases[0].hostnames[1]: Invalid value: "Bad": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`}},
		{"dns config", podWith("dnsConfig: {nameservers: [1.1.1.1, 2.2.2.2, 3.3.3.3, x], options: [{}]}"), []string{
			`spec.dnsConfig.nameservers: Invalid value: ["1.1.1.1","2.2.2.2","3.3.3.3","x"]: must not have more than 3 nameservers`,
			`spec.dnsConfig.nameservers[3]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`,
			"spec.dnsConfig.options[0]: Required value: must not be empty"}},
		{"tolerations", podWith("tolerations: [{value: x}, {key: k, operator: Exists, value: v}, {key: k, operator: Like}, {key: k, value: v, tolerationSeconds: 5}, {key: k, effect: Never}]"), []string{
			"spec.tolerations[0].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
			"spec.tolerations[1].operator: Invalid value: \"v\": value must be empty when `operator` is 'Exists'",
			`spec.tolerations[2].operator: Unsupported value: "Like": supported values: "Equal", "Exists"`,
			"spec.tolerations[3].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
			`spec.tolerations[4].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`}},
		{"affinity", podWith(`
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}
    preferredDuringSchedulingIgnoredDuringExecution: [{weight: 0, preference: {matchExpressions: [{key: k, operator: In}, {key: k, operator: Near}], matchFields: [{key: metadata.uid, operator: In, values: [a]}]}}]
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: {matchLabels: {'a b': c}}}]
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution: [{weight: 101, podAffinityTerm: {topologyKey: zone}}]`), []string{
			"spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term",
			"spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100",
			"spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
			`spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[1].operator: Invalid value: "Near": not a valid selector operator`,
			`spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchFields[0].key: Invalid value: "metadata.uid": not a valid field selector key`,
			`spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector.matchLabels: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
			"spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty",
			"spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 101: must be in the range 1-100"}},
		{"spread", podWith("topologySpreadConstraints: [{maxSkew: 0, topologyKey: zone, whenUnsatisfiable: Panic}, {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, minDomains: 2}, {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]"), []string{
			"spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
			`spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "Panic": supported values: "DoNotSchedule", "ScheduleAnyway"`,
			"spec.topologySpreadConstraints[1].minDomains: Invalid value: 2: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
			`spec.topologySpreadConstraints[2].{topologyKey, whenUnsatisfiable}: Duplicate value: "{zone, ScheduleAnyway}"`}},
		{"security", podManifest("image: i\nsecurityContext: {runAsUser: -1, allowPrivilegeEscalation: false, privileged: true, seccompProfile: {type: Localhost}}",
			"shareProcessNamespace: true\nhostPID: true\nsecurityContext: {fsGroup: -2, sysctls: [{name: 'a b', value: x}, {name: kernel.shmmax, value: '1'}, {name: kernel.shmmax, value: '1'}], seccompProfile: {type: Unconfined, localhostProfile: x}, fsGroupChangePolicy: Never}"), []string{
			"spec.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled",
			"spec.securityContext.fsGroup: Invalid value: -2: must be between 0 and 2147483647, inclusive",
			`spec.securityContext.sysctls[0].name: Invalid value: "a b": must have at most 253 characters and match regex ([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?`,
			`spec.securityContext.sysctls[2].name: Duplicate value: "kernel.shmmax"`,
			`spec.securityContext.seccompProfile.localhostProfile: Invalid value: "x": can only be set when seccomp type is Localhost`,
			`spec.securityContext.fsGroupChangePolicy: Unsupported value: "Never": supported values: "Always", "OnRootMismatch"`,
			"spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
			"spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
			"spec.containers[0].securityContext: Invalid value: {\"privileged\":true,\"runAsUser\":-1,\"allowPrivilegeEscalation\":false,\"seccompProfile\":{\"type\":\"Localhost\"}}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true"}},
		{"gates and names", podWith("schedulingGates: [{name: a}, {name: a}]\nnodeName: n1\nhostname: a.b\nactiveDeadlineSeconds: 0\nreadinessGates: [{conditionType: 'a b'}]"), []string{
			`spec.schedulingGates[1]: Duplicate value: "a"`,
			"spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
			`spec.hostname: Invalid value: "a.b": must not contain dots`,
			"spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
			"spec.readinessGates[0].conditionType: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"}},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, createErrors(t, r, c.manifest), c.want...) })
	}
}

func TestPodUpdate(t *testing.T) {
	r := builtin(t, registry.Options{})
	const mutable = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
	for _, c := range []struct {
		name, old, manifest string
		want                []string
	}{
		{"image", podManifest("image: a", ""), podManifest("image: b", ""), nil},
		{"command", podManifest("image: a", ""), podManifest("image: a\ncommand: [x]", ""), []string{mutable}},
		{"node name", podWith(""), podWith("nodeName: n1"), []string{mutable}},
		{"more containers", podWith(""), podWith("") + "  - {name: d, image: i}\n", []string{"spec.containers: Forbidden: pod updates may not add or remove containers"}},
		{"deadline shorter", podWith("activeDeadlineSeconds: 9"), podWith("activeDeadlineSeconds: 5"), nil},
		{"deadline longer", podWith("activeDeadlineSeconds: 5"), podWith("activeDeadlineSeconds: 9"), []string{"spec.activeDeadlineSeconds: Invalid value: 9: must be less than or equal to previous value"}},
		{"deadline gone", podWith("activeDeadlineSeconds: 5"), podWith(""), []string{"spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"}},
		{"toleration added", podWith("tolerations: [{key: a, operator: Exists}]"), podWith("tolerations: [{key: a, operator: Exists}, {key: b, operator: Exists}]"), nil},
		{"toleration gone", podWith("tolerations: [{key: a, operator: Exists}]"), podWith(""), []string{"spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"}},
		{"gate lifted", podWith("schedulingGates: [{name: a}]"), podWith(""), nil},
		{"gate added", podWith(""), podWith("schedulingGates: [{name: a}]"), []string{"spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'a'"}},
		{"gated pod narrowed", podWith("schedulingGates: [{name: a}]"), podWith("schedulingGates: [{name: a}]\nnodeSelector: {disk: ssd}"), nil},
		{"pod narrowed", podWith(""), podWith("nodeSelector: {disk: ssd}"), []string{mutable}},
		{"gated pod widened", podWith("schedulingGates: [{name: a}]\nnodeSelector: {disk: ssd}"), podWith("schedulingGates: [{name: a}]"), []string{`spec.nodeSelector: Invalid value: null: only additions are allowed to podSpec.nodeSelector`}},
		{"gated affinity added", podWith("schedulingGates: [{name: a}]"), podWith("schedulingGates: [{name: a}]\naffinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: k, operator: Exists}]}]}}}"), nil},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, updateErrors(t, r, c.old, c.manifest), c.want...) })
	}
}
