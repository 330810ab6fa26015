package podspec

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// maxHostname is the length of a DNS label, and more than a kernel's 64 bytes
// with the final zero can't hold.
const maxHostname = 63

// Hostname returns the pod's host name, what its kernel reports as such, and
// its domain where it has a subdomain.
func Hostname(pod *corev1.Pod, nodeHostname, clusterDomain string) (name, kernelName, domain string) {
	if pod.Spec.HostNetwork {
		return nodeHostname, nodeHostname, ""
	}
	if o := pod.Spec.HostnameOverride; o != nil && *o != "" {
		return *o, *o, ""
	}
	name = pod.Spec.Hostname
	if name == "" {
		name = strings.TrimRight(pod.Name[:min(len(pod.Name), maxHostname)], "-.")
	}
	kernelName = name
	if pod.Spec.Subdomain != "" {
		domain = strings.TrimSuffix(fmt.Sprintf("%s.%s.svc.%s", pod.Spec.Subdomain, pod.Namespace, clusterDomain), ".")
		if pod.Spec.SetHostnameAsFQDN != nil && *pod.Spec.SetHostnameAsFQDN {
			kernelName = name + "." + domain
		}
	}
	return name, kernelName, domain
}

// HostsFile is the pod's /etc/hosts. For a pod in the node's network it is the
// node's file with the pod's aliases.
func HostsFile(pod *corev1.Pod, ips []string, hostname, domain string, nodeFile []byte) []byte {
	var b strings.Builder
	if pod.Spec.HostNetwork {
		b.WriteString("# Kubernetes-managed hosts file (host network).\n")
		b.Write(nodeFile)
	} else {
		b.WriteString("# Kubernetes-managed hosts file.\n")
		b.WriteString("127.0.0.1\tlocalhost\n")
		b.WriteString("::1\tlocalhost ip6-localhost ip6-loopback\n")
		b.WriteString("fe00::0\tip6-localnet\n")
		b.WriteString("fe00::0\tip6-mcastprefix\n")
		b.WriteString("fe00::1\tip6-allnodes\n")
		b.WriteString("fe00::2\tip6-allrouters\n")
		for _, ip := range ips {
			if domain != "" {
				fmt.Fprintf(&b, "%s\t%s.%s\t%s\n", ip, hostname, domain, hostname)
			} else {
				fmt.Fprintf(&b, "%s\t%s\n", ip, hostname)
			}
		}
	}
	if len(pod.Spec.HostAliases) > 0 {
		b.WriteString("\n# Entries added by HostAliases.\n")
		for _, alias := range pod.Spec.HostAliases {
			fmt.Fprintf(&b, "%s\t%s\n", alias.IP, strings.Join(alias.Hostnames, "\t"))
		}
	}
	return []byte(b.String())
}

// PortMappings are the host ports that the pod asks for; none in the node's own
// network, where its ports are the node's.
func PortMappings(pod *corev1.Pod) []*pluginv1.PortMapping {
	if pod.Spec.HostNetwork {
		return nil
	}
	var out []*pluginv1.PortMapping
	for _, c := range AllContainers(pod) {
		if len(c.Ports) == 0 {
			continue
		}
		for _, p := range c.Ports {
			if p.HostPort == 0 {
				continue
			}
			out = append(out, &pluginv1.PortMapping{
				Protocol: protocol(p.Protocol), ContainerPort: p.ContainerPort, HostPort: p.HostPort, HostIp: p.HostIP,
			})
		}
	}
	return out
}

func protocol(p corev1.Protocol) string {
	if p == "" {
		return string(corev1.ProtocolTCP)
	}
	return string(p)
}
