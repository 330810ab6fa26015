package registry_test

import (
	"slices"
	"testing"

	"github.com/pintle-io/pintle/core/registry"
)

// unserved reports what creating the manifest is refused and warned of.
func unserved(t *testing.T, r *registry.Registry, manifest string) (refused, warnings []string) {
	t.Helper()
	obj, k := created(t, r, manifest)
	errs, warnings := k.Unserved(obj, nil)
	slices.Sort(warnings)

	// What is there already is not reported again.
	if again, notes := k.Unserved(obj.DeepCopyObject(), obj); len(again) > 0 || len(notes) > 0 {
		t.Errorf("an update that changes nothing: refused %v, warned %q", again, notes)
	}
	return texts(errs), warnings
}

func TestUnservedFieldsAreSaid(t *testing.T) {
	r := builtin(t, registry.Options{})
	for _, c := range []struct {
		name, manifest    string
		refused, warnings []string
	}{
		{"nothing", podWith("volumes: [{name: a}, {name: b, csi: {driver: git}}]"), nil, nil},
		{"pod", podWith("runtimeClassName: gvisor\npriorityClassName: gold\nhostUsers: false\nautomountServiceAccountToken: true\nresourceClaims: [{name: a}]\nresources: {limits: {cpu: 1}}\nos: {name: windows}\nephemeralContainers: [{name: e, image: i}]\noverhead: {cpu: 1}"), []string{
			"spec.runtimeClassName: Forbidden: RuntimeClass is not served: all pods run by the node's runtime plugin",
			"spec.priorityClassName: Forbidden: PriorityClass is not served: no PriorityClass of this name can be found; leave it out",
			"spec.hostUsers: Forbidden: user namespaces are not served: pods run in the user namespace of the node",
			"spec.resourceClaims: Forbidden: dynamic resource allocation is not served",
			"spec.resources: Forbidden: resources of a whole pod are not served: set them on its containers",
			"spec.os: Forbidden: nodes run Linux",
			"spec.ephemeralContainers: Forbidden: ephemeral containers are not served",
			"spec.overhead: Forbidden: pod overhead set without a corresponding RuntimeClass, which is not served",
		}, []string{"spec.automountServiceAccountToken: service account tokens are not served: none is mounted"}},
		{"system priority", podWith("priorityClassName: system-node-critical\npriority: 5"), nil, []string{
			"spec.priorityClassName: PriorityClass is not served: the pod gets no priority from its class",
			"spec.priority: priorities do not count in scheduling: the pod waits its turn and preempts none"}},
		{"switched off", podWith("hostUsers: true\nautomountServiceAccountToken: false\nos: {name: linux}\nruntimeClassName: ''\npriority: 0"), nil, nil},
		{"container", podManifest(`
image: i
resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}]
resources: {limits: {hugepages-2Mi: 2Mi, cpu: 1, ephemeral-storage: 1Gi}, claims: [{name: c}]}
volumeMounts: [{name: v, mountPath: /v, readOnly: true, recursiveReadOnly: Enabled}]
volumeDevices: [{name: d, devicePath: /dev/x}]
env: [{name: A, valueFrom: {fileKeyRef: {volumeName: v, path: p, key: k}}}]
lifecycle: {stopSignal: SIGINT, preStop: {tcpSocket: {port: 1}}}
securityContext: {seLinuxOptions: {level: x}, windowsOptions: {}, appArmorProfile: {type: RuntimeDefault}}`, "volumes: [{name: v}]\nsecurityContext: {seLinuxChangePolicy: Recursive, supplementalGroupsPolicy: Strict, appArmorProfile: {type: Localhost, localhostProfile: x}}"), []string{
			"spec.containers[0].volumeDevices: Forbidden: raw block volumes are not served",
			"spec.containers[0].resources.claims: Forbidden: dynamic resource allocation is not served",
			"spec.containers[0].resources.limits: Forbidden: huge pages are not served",
			"spec.containers[0].env[0].valueFrom.fileKeyRef: Forbidden: variables from files are not served",
			"spec.containers[0].securityContext.seLinuxOptions: Forbidden: SELinux is not served",
			"spec.containers[0].securityContext.windowsOptions: Forbidden: nodes run Linux",
			"spec.securityContext.seLinuxChangePolicy: Forbidden: SELinux is not served",
			"spec.securityContext.supplementalGroupsPolicy: Forbidden: only the policy Merge is served: groups of the image's user are kept",
			"spec.securityContext.appArmorProfile: Forbidden: AppArmor profiles are not served: containers run without one",
		}, []string{
			"spec.containers[0].resizePolicy: resizing containers in place is not served: the policy has no effect",
			"spec.containers[0].resources.limits: limits of ephemeral-storage are not enforced for a container: set emptyDir.sizeLimit",
			"spec.containers[0].lifecycle.preStop.tcpSocket: a TCP hook does nothing, in Kubernetes too: use exec or httpGet",
			"spec.containers[0].securityContext.appArmorProfile: AppArmor profiles are not served: containers run without one",
		}},
		{"volumes", podWith("volumes: [{name: a, persistentVolumeClaim: {claimName: c}}, {name: b, cephfs: {monitors: [m]}}, {name: c, projected: {sources: [{serviceAccountToken: {path: t}}]}}, {name: d, image: {reference: i}}]"), []string{
			"spec.volumes[0].persistentVolumeClaim: Forbidden: PersistentVolumeClaim is not served: use a volume type directly, or a vendor's through csi",
			"spec.volumes[2].projected.sources[0].serviceAccountToken: Forbidden: service account tokens are not served",
			"spec.volumes[3].image: Forbidden: image volumes are not served: copy the files with an init container into an emptyDir",
		}, []string{"spec.volumes[1].cephfs: no plugin for this type of volume ships: the pod waits on its node until one named cephfs runs there"}},
		{"template", "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: rs}\nspec: {template: {spec: {hostUsers: false, containers: []}}}", []string{
			"spec.template.spec.hostUsers: Forbidden: user namespaces are not served: pods run in the user namespace of the node"}, nil},
		{"service", serviceWith("type: LoadBalancer, loadBalancerIP: 1.2.3.4, trafficDistribution: PreferClose, ports: [{port: 80}]"), nil, []string{
			"spec.loadBalancerIP: no load balancer is provided: the address is kept as a wish and has no effect",
			"spec.trafficDistribution: endpoints are chosen without regard to where they are",
			"spec.type: no load balancer is provided: the service is reached by its cluster address and node ports, and its external address stays pending until a controller sets it"}},
		{"secret", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: kubernetes.io/service-account-token", nil, []string{
			"type: service account tokens are not served: the secret is kept as it is and gets no token"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused, warnings := unserved(t, r, c.manifest)
			expect(t, refused, c.refused...)
			expect(t, warnings, c.warnings...)
		})
	}
}

func TestWarnings(t *testing.T) {
	r := builtin(t, registry.Options{})
	obj, k := created(t, r, podManifest("image: i\nenv: [{name: A, value: a}, {name: A, value: b}, {name: B, value: b}, {name: B, value: '$(B):c'}]\nports: [{containerPort: 1}, {containerPort: 1}]\nresources: {requests: {memory: 100m}}", "imagePullSecrets: [{}]\nhostAliases: [{ip: 10.0.0.1}, {ip: 10.0.0.1}]\nterminationGracePeriodSeconds: -1"))
	expect(t, k.Warnings(obj, nil),
		`spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply`,
		`spec.containers[0].ports[1]: duplicate port definition with 1/TCP`,
		`spec.containers[0].resources.requests[memory]: fractional byte value "100m" is invalid, must be an integer`,
		`spec.imagePullSecrets[0]: invalid empty name ""`,
		`spec.hostAliases[1].ip: duplicate ip "10.0.0.1"`,
		"spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1")
	svc, k := created(t, r, serviceWith("clusterIP: None, sessionAffinity: ClientIP, externalName: a.b"))
	expect(t, k.Warnings(svc, nil), "spec.SessionAffinity is ignored for headless services", `spec.externalName is ignored when spec.type is not "ExternalName"`)
}
