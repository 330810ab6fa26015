package registry_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pintle-io/pintle/core/registry"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// claims is an Allocator in memory.
type claims map[string]string

func (c claims) Holder(_ context.Context, claim string) (string, error) { return c[claim], nil }

func (c claims) Held(_ context.Context, prefix string) (map[string]string, error) {
	held := map[string]string{}
	for claim, key := range c {
		if strings.HasPrefix(claim, prefix) {
			held[claim] = key
		}
	}
	return held, nil
}

// take stores what an object holds under a key, as a write does.
func (c claims) take(key string, names []string) {
	maps.DeleteFunc(c, func(_, holder string) bool { return holder == key })
	for _, name := range names {
		c[name] = key
	}
}

func serviceWith(spec string) string {
	return "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: default}\nspec: {" + spec + "}"
}

func TestServiceValidation(t *testing.T) {
	r := builtin(t, registry.Options{})
	for _, c := range []struct {
		name, spec string
		want       []string
	}{
		{"cluster ip", "ports: [{port: 80}]", nil},
		{"headless", "clusterIP: None", nil},
		{"no ports", "{}", nil},
		{"type", "type: Magic, ports: [{port: 80}]", []string{`spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"`}},
		{"ports", "ports: [{port: 0}, {port: 80, name: a}, {port: 80, name: a, targetPort: no_good}, {port: 81, name: b, nodePort: 30000}]", []string{
			"spec.ports[0].name: Required value",
			"spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
			"spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
			`spec.ports[2].name: Duplicate value: "a"`,
			`spec.ports[2].targetPort: Invalid value: "no_good": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)`,
			`spec.ports[2]: Duplicate value: {"protocol":"TCP","port":80,"targetPort":0}`,
			"spec.ports[3].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"}},
		{"external name", "type: ExternalName, externalName: a..b, clusterIP: 10.43.0.9", []string{
			"spec.clusterIPs: Forbidden: may not be set for ExternalName services",
			`spec.externalName: Invalid value: "a..b": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`}},
		{"headless node port", "type: NodePort, clusterIP: None, ports: [{port: 80}]", []string{`spec.clusterIPs[0]: Invalid value: "None": may not be set to 'None' for NodePort services`}},
		{"affinity", "sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}, ports: [{port: 80}]", []string{
			"spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400"}},
		{"external ips", "externalIPs: [127.0.0.1, x], ports: [{port: 80}]", []string{
			`spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)`,
			`spec.externalIPs[1]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`}},
		{"policies", "externalTrafficPolicy: Local, internalTrafficPolicy: Near, loadBalancerClass: a/b, loadBalancerSourceRanges: [x], ports: [{port: 80}]", []string{
			`spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services`,
			`spec.internalTrafficPolicy: Unsupported value: "Near": supported values: "Cluster", "Local"`,
			"spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
			"spec.loadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
			`spec.loadBalancerSourceRanges[0]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)`}},
		{"bad address", "clusterIP: x, ports: [{port: 80}]", []string{`spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := strings.Trim(c.spec, "{}")
			if c.name != "no ports" {
				spec = c.spec
			} else {
				c.want = []string{"spec.ports: Required value"}
			}
			expect(t, createErrors(t, r, serviceWith(spec)), c.want...)
		})
	}
}

func TestServiceAllocation(t *testing.T) {
	r := builtin(t, registry.Options{})
	k := kind(t, r, "", "services")
	ctx, held := context.Background(), claims{}

	obj, _ := created(t, r, serviceWith("type: NodePort, ports: [{name: a, port: 53, protocol: UDP}, {name: b, port: 53}, {name: c, port: 80, nodePort: 30080}]"))
	names, err := k.Allocate(ctx, held, obj, nil)
	if err != nil {
		t.Fatal(err)
	}
	svc := obj.(*corev1.Service)
	ip := netip.MustParseAddr(svc.Spec.ClusterIP)
	if !netip.MustParsePrefix("10.43.0.0/16").Contains(ip) || !slices.Equal(svc.Spec.ClusterIPs, []string{ip.String()}) {
		t.Errorf("clusterIP %s, clusterIPs %v", ip, svc.Spec.ClusterIPs)
	}
	if svc.Spec.IPFamilies[0] != corev1.IPv4Protocol || *svc.Spec.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack {
		t.Errorf("family %v %v", svc.Spec.IPFamilies, *svc.Spec.IPFamilyPolicy)
	}
	port := svc.Spec.Ports[0].NodePort
	if port < 30000 || port > 32767 || svc.Spec.Ports[1].NodePort != port || svc.Spec.Ports[2].NodePort != 30080 {
		t.Errorf("node ports %+v", svc.Spec.Ports)
	}
	want := []string{"serviceip/" + ip.String(), fmt.Sprintf("nodeport/udp/%d", port), fmt.Sprintf("nodeport/tcp/%d", port), "nodeport/tcp/30080"}
	expect(t, names, want...)
	held.take("s", names)

	t.Run("the same manifest keeps everything", func(t *testing.T) {
		again, _ := decode(t, r, serviceWith("type: NodePort, ports: [{name: a, port: 53, protocol: UDP}, {name: b, port: 53}, {name: c, port: 80}]"))
		if errs := update(k, again, svc); len(errs) > 0 {
			t.Fatal(errs)
		}
		names, err := k.Allocate(ctx, held, again, svc)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, names, want...)
	})
	t.Run("another type gives the node ports back", func(t *testing.T) {
		next := svc.DeepCopy()
		next.Spec.Type = corev1.ServiceTypeClusterIP
		k.Default(next)
		if errs := update(k, next, svc); len(errs) > 0 {
			t.Fatal(errs)
		}
		names, err := k.Allocate(ctx, held, next, svc)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, names, want[0])
		if next.Spec.ExternalTrafficPolicy != "" {
			t.Errorf("external traffic policy %q stays", next.Spec.ExternalTrafficPolicy)
		}
	})
	t.Run("external name gives all back", func(t *testing.T) {
		next := svc.DeepCopy()
		next.Spec.Type, next.Spec.ExternalName = corev1.ServiceTypeExternalName, "example.com"
		k.Default(next)
		if errs := update(k, next, svc); len(errs) > 0 {
			t.Fatal(errs)
		}
		names, err := k.Allocate(ctx, held, next, svc)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, names)
	})
	t.Run("the address can't change", func(t *testing.T) {
		next := svc.DeepCopy()
		next.Spec.ClusterIP = "10.43.9.9"
		expect(t, texts(update(k, next, svc)), `spec.clusterIPs[0]: Invalid value: ["10.43.9.9"]: may not change once set`)
	})
	for spec, msg := range map[string]string{
		"clusterIP: " + ip.String() + ", ports: [{port: 80}]":   "provided IP is already allocated",
		"clusterIP: 10.44.0.1, ports: [{port: 80}]":             "the provided IP (10.44.0.1) is not in the valid range. The range of valid IPs is 10.43.0.0/16",
		"clusterIP: 10.43.255.255, ports: [{port: 80}]":         "is not in the valid range",
		"clusterIP: 10.43.0.1, ports: [{port: 80}]":             "reserved for the service default/kubernetes",
		"type: NodePort, ports: [{port: 80, nodePort: 30080}]":  "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated",
		"type: NodePort, ports: [{port: 80, nodePort: 80}]":     "provided port is not in the valid range. The range of valid ports is 30000-32767",
		"ports: [{port: 80}], ipFamilies: [IPv6]":               "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
		"ports: [{port: 80}], ipFamilyPolicy: RequireDualStack": "this cluster is not configured for dual-stack services",
	} {
		other, _ := created(t, r, serviceWith(spec))
		other.(*corev1.Service).Name = "other"
		_, err := k.Allocate(ctx, held, other, nil)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), msg) {
			t.Errorf("%s:\n got %v\nwant %s", spec, err, msg)
		}
	}
	first, _ := created(t, r, serviceWith("ports: [{port: 443}]"))
	first.(*corev1.Service).Name = "kubernetes"
	if names, err := k.Allocate(ctx, held, first, nil); err != nil || !slices.Equal(names, []string{"serviceip/10.43.0.1"}) {
		t.Errorf("default/kubernetes holds %v, %v", names, err)
	}
}

// Every value of a range is given out once, and then it is said to be full.
func TestAllocationFillsTheRange(t *testing.T) {
	for _, cidr := range []string{"10.9.0.0/26", "fd00::/122"} {
		prefix := netip.MustParsePrefix(cidr)
		r := builtin(t, registry.Options{ServiceCIDR: prefix, NodePorts: registry.PortRange{First: 31000, Last: 31039}})
		k := kind(t, r, "", "services")
		held := claims{}
		room := 64 - 2
		if prefix.Addr().Is4() {
			room--
		}
		for i := range room + 1 {
			// Node ports are fewer than addresses.
			spec := "ports: [{port: 80}]"
			if i < 40 {
				spec = "type: NodePort, ports: [{port: 80}]"
			}
			obj, _ := created(t, r, serviceWith(spec))
			names, err := k.Allocate(context.Background(), held, obj, nil)
			if i == room {
				if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "range "+cidr+" is full") {
					t.Fatalf("%s: service %d of %d: %v", cidr, i, room, err)
				}
				break
			}
			if err != nil {
				t.Fatalf("%s: service %d of %d: %v", cidr, i, room, err)
			}
			for _, name := range names {
				if held[name] != "" {
					t.Fatalf("%s was given out twice", name)
				}
			}
			held.take(fmt.Sprint(i), names)
		}
	}
}

func TestOneAddressInTwoSpellings(t *testing.T) {
	r := builtin(t, registry.Options{ServiceCIDR: netip.MustParsePrefix("fd00::/112")})
	k := kind(t, r, "", "services")
	held := claims{}
	for i, ip := range []string{"fd00::1234", "fd00:0::1234"} {
		obj, _ := created(t, r, serviceWith("clusterIP: '"+ip+"', ports: [{port: 80}]"))
		names, err := k.Allocate(t.Context(), held, obj, nil)
		if (err != nil) != (i == 1) {
			t.Fatalf("%s: %v, %v", ip, names, err)
		}
		held.take(ip, names)
	}
}

func TestNodeRangesThatClientsName(t *testing.T) {
	r := builtin(t, registry.Options{ClusterCIDR: netip.MustParsePrefix("10.128.0.0/22"), NodeMaskSize: 24})
	k := kind(t, r, "", "nodes")
	held := claims{}
	allocate := func(name, spec string) (*corev1.Node, error) {
		obj, _ := created(t, r, "apiVersion: v1\nkind: Node\nmetadata: {name: "+name+"}\nspec: {"+spec+"}")
		names, err := k.Allocate(t.Context(), held, obj, nil)
		held.take(name, names)
		return obj.(*corev1.Node), err
	}
	if _, err := allocate("wide", "podCIDR: 10.128.0.0/23"); err != nil {
		t.Fatal(err)
	}
	if _, err := allocate("inside", "podCIDR: 10.128.1.0/26"); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "overlaps 10.128.0.0/23") {
		t.Errorf("a range inside another's: %v", err)
	}
	for _, name := range []string{"a", "b"} {
		n, err := allocate(name, "")
		if err != nil || netip.MustParsePrefix("10.128.0.0/23").Overlaps(netip.MustParsePrefix(n.Spec.PodCIDR)) {
			t.Errorf("node %s: %s, %v", name, n.Spec.PodCIDR, err)
		}
	}
	if _, err := allocate("c", ""); err == nil {
		t.Error("a range for a node more than there are ranges")
	}
}

func TestNodeRanges(t *testing.T) {
	r := builtin(t, registry.Options{ClusterCIDR: netip.MustParsePrefix("10.128.0.0/20"), NodeMaskSize: 24})
	k := kind(t, r, "", "nodes")
	ctx, held := context.Background(), claims{}
	ranges := map[string]bool{}
	for i := range 17 {
		obj, _ := created(t, r, fmt.Sprintf("apiVersion: v1\nkind: Node\nmetadata: {name: n%d}", i))
		names, err := k.Allocate(ctx, held, obj, nil)
		if i == 16 {
			if err == nil || !strings.Contains(err.Error(), "no pod range is left") {
				t.Errorf("the 17th node: %v, %v", names, err)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		node := obj.(*corev1.Node)
		p := netip.MustParsePrefix(node.Spec.PodCIDR)
		if p.Bits() != 24 || !netip.MustParsePrefix("10.128.0.0/20").Contains(p.Addr()) || ranges[node.Spec.PodCIDR] {
			t.Errorf("node %d got %s", i, p)
		}
		ranges[node.Spec.PodCIDR] = true
		held.take(node.Name, names)

		again, err := k.Allocate(ctx, held, node.DeepCopy(), node)
		if err != nil || !slices.Equal(again, names) {
			t.Errorf("an update holds %v, %v", again, err)
		}
	}
}
