package podspec

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Limits of a resolver's configuration, as Kubernetes enforces them.
const (
	maxNameservers  = 3
	maxSearchDomain = 32
	maxSearchLength = 2048
)

// Resolver is what a resolv.conf says.
type Resolver struct {
	Nameservers, Searches, Options []string
}

// ParseResolvConf reads a resolv.conf; what it does not know it leaves out.
func ParseResolvConf(file []byte) Resolver {
	var r Resolver
	for line := range strings.Lines(string(file)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		switch fields[0] {
		case "nameserver":
			r.Nameservers = append(r.Nameservers, fields[1])
		case "search", "domain":
			r.Searches = fields[1:]
		case "options":
			r.Options = fields[1:]
		}
	}
	return r
}

// String is the file's content.
func (r Resolver) String() string {
	var b strings.Builder
	if len(r.Searches) > 0 {
		b.WriteString("search " + strings.Join(r.Searches, " ") + "\n")
	}
	for _, ns := range r.Nameservers {
		b.WriteString("nameserver " + ns + "\n")
	}
	if len(r.Options) > 0 {
		b.WriteString("options " + strings.Join(r.Options, " ") + "\n")
	}
	return b.String()
}

// ClusterDNS is what the cluster offers pods for names.
type ClusterDNS struct {
	Servers []string
	Domain  string
}

// DNS is the pod's resolver by its dnsPolicy and dnsConfig. With no cluster DNS
// to use, ClusterFirst falls back to the node's; fellBack says so.
func DNS(pod *corev1.Pod, cluster ClusterDNS, node Resolver) (r Resolver, fellBack bool) {
	policy := pod.Spec.DNSPolicy
	if policy == "" {
		policy = corev1.DNSClusterFirst
	}
	if policy == corev1.DNSClusterFirst && pod.Spec.HostNetwork {
		policy = corev1.DNSDefault
	}
	if policy == corev1.DNSClusterFirstWithHostNet {
		policy = corev1.DNSClusterFirst
	}
	if policy == corev1.DNSClusterFirst && len(cluster.Servers) == 0 {
		policy, fellBack = corev1.DNSDefault, true
	}
	switch policy {
	case corev1.DNSNone:
	case corev1.DNSDefault:
		r = Resolver{
			Nameservers: slices.Clone(node.Nameservers),
			Searches:    slices.Clone(node.Searches),
			Options:     slices.Clone(node.Options),
		}
	default:
		r.Nameservers = slices.Clone(cluster.Servers)
		if cluster.Domain != "" {
			r.Searches = []string{pod.Namespace + ".svc." + cluster.Domain, "svc." + cluster.Domain, cluster.Domain}
		}
		r.Searches = append(r.Searches, node.Searches...)
		r.Options = []string{"ndots:5"}
	}
	if c := pod.Spec.DNSConfig; c != nil {
		r.Nameservers = append(r.Nameservers, c.Nameservers...)
		r.Searches = append(r.Searches, c.Searches...)
		r.Options = mergeOptions(r.Options, c.Options)
	}
	r.Nameservers, r.Searches = unique(r.Nameservers), unique(r.Searches)
	r.Nameservers = r.Nameservers[:min(len(r.Nameservers), maxNameservers)]
	r.Searches = r.Searches[:min(len(r.Searches), maxSearchDomain)]
	for len(strings.Join(r.Searches, " ")) > maxSearchLength {
		r.Searches = r.Searches[:len(r.Searches)-1]
	}
	return r, fellBack
}

func mergeOptions(have []string, more []corev1.PodDNSConfigOption) []string {
	out := slices.Clone(have)
	for _, o := range more {
		out = slices.DeleteFunc(out, func(s string) bool {
			name, _, _ := strings.Cut(s, ":")
			return name == o.Name
		})
		if o.Value != nil && *o.Value != "" {
			out = append(out, o.Name+":"+*o.Value)
		} else {
			out = append(out, o.Name)
		}
	}
	return out
}

func unique(in []string) []string {
	var out []string
	for _, s := range in {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
