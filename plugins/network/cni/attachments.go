package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containernetworking/cni/libcni"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/network"
)

// intact reports whether what an earlier Attach made is there: its links, and in
// the namespace its addresses. CHECK of the CNI plugins is no judge of that: the
// one of portmap fails for every pod without an IPv6 address.
func intact(result *types100.Result, path string) bool {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return false
	}
	defer ns.Close()
	inside, err := netlink.NewHandleAt(ns)
	if err != nil {
		return false
	}
	defer inside.Close()
	var held []net.IP
	for _, i := range result.Interfaces {
		if i.Sandbox == "" {
			if _, err := netlink.LinkByName(i.Name); err != nil {
				return false
			}
			continue
		}
		link, err := inside.LinkByName(i.Name)
		if err != nil {
			return false
		}
		addresses, err := inside.AddrList(link, netlink.FAMILY_ALL)
		if err != nil {
			return false
		}
		for _, a := range addresses {
			held = append(held, a.IP)
		}
	}
	return !slices.ContainsFunc(result.IPs, func(ip *types100.IPConfig) bool {
		return !slices.ContainsFunc(held, ip.Address.IP.Equal)
	})
}

// detach takes back everything that a sandbox has: what the cache says of it,
// with the configuration that it was attached with, and what an Attach that was
// interrupted left without a word in the cache.
func (c *cni) detach(ctx context.Context, sandbox, path string, pod podIdentity, ports []*network.PortMapping) error {
	attached, err := c.lib.GetCachedAttachments(sandbox)
	if err != nil {
		return fmt.Errorf("looking for the network of sandbox %s: %w", sandbox, err)
	}
	for _, a := range attached {
		list, err := libcni.NetworkConfFromBytes(a.Config)
		if err != nil {
			return errs.Internal("the configuration that sandbox %s was attached with: %v", sandbox, err)
		}
		rt := &libcni.RuntimeConf{
			ContainerID: a.ContainerID, NetNS: existing(cmp.Or(path, a.NetNS)), IfName: a.IfName,
			Args: a.CniArgs, CapabilityArgs: a.CapabilityArgs,
		}
		result, _ := c.lib.GetNetworkListCachedResult(list, rt)
		if err := c.lib.DelNetworkList(ctx, list, rt); err != nil {
			return errs.Unavailable("detaching sandbox %s: %v", sandbox, err)
		}
		if err := removeHostLinks(result); err != nil {
			return errs.Unavailable("detaching sandbox %s: %v", sandbox, err)
		}
	}
	list := c.current()
	if len(attached) > 0 || list == nil {
		return nil
	}
	if len(ports) == 0 {
		// Without any mapping portmap does nothing; it finds its rules by the
		// sandbox, whatever the mapping.
		ports = []*network.PortMapping{{HostPort: 1, ContainerPort: 1}}
	}
	if err := c.lib.DelNetworkList(ctx, list, runtimeConf(sandbox, existing(path), pod, ports)); err != nil {
		return errs.Unavailable("detaching sandbox %s: %v", sandbox, err)
	}
	return nil
}

// existing is the path, or "", which tells CNI plugins that the namespace is
// gone.
func existing(path string) string {
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// removeHostLinks removes the node's ends of a pod's links. They end with the
// namespace, but a process may keep that alive after its path is gone, and then
// the next pod with the address would not be reached.
func removeHostLinks(result any) error {
	r, ok := result.(*types100.Result)
	if !ok {
		return nil
	}
	for _, i := range r.Interfaces {
		if i.Sandbox != "" {
			continue
		}
		link, err := netlink.LinkByName(i.Name)
		if err != nil || link.Type() != "veth" {
			continue // Gone, or a bridge that others hang on, too.
		}
		if err := netlink.LinkDel(link); err != nil && !errors.As(err, &netlink.LinkNotFoundError{}) {
			return fmt.Errorf("removing the link %s: %w", i.Name, err)
		}
	}
	return nil
}

// freshLease is how old an empty lease may be before it counts as one whose
// writer was killed.
const freshLease = time.Minute

// leases lists the sandboxes that hold addresses, by the files of host-local:
// one an address, with the sandbox in the first line. Files whose writer was
// killed before it wrote are removed.
func (c *cni) leases() (map[string]bool, error) {
	holders := map[string]bool{}
	files, err := os.ReadDir(filepath.Join(c.leaseDir(), networkName))
	if errors.Is(err, fs.ErrNotExist) {
		return holders, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the address leases: %w", err)
	}
	for _, f := range files {
		if net.ParseIP(f.Name()) == nil {
			continue
		}
		path := filepath.Join(c.leaseDir(), networkName, f.Name())
		content, err := os.ReadFile(path)
		if err != nil {
			continue // Given back meanwhile.
		}
		sandbox, _, _ := strings.Cut(string(content), "\n")
		if sandbox = strings.TrimSpace(sandbox); sandbox != "" {
			holders[sandbox] = true
		} else if info, err := f.Info(); err == nil && time.Since(info.ModTime()) > freshLease {
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("removing an empty address lease: %w", err)
			}
		}
	}
	return holders, nil
}

func (c *cni) leaseDir() string { return filepath.Join(c.state, "leases") }

// checkPorts says who has a host port that a sandbox wants: portmap itself would
// let both have it, and the first one get the traffic.
func (c *cni) checkPorts(sandbox string, wanted []*network.PortMapping) error {
	attached, err := c.lib.GetCachedAttachments("")
	if err != nil {
		return fmt.Errorf("listing the attached sandboxes: %w", err)
	}
	for _, a := range attached {
		if a.ContainerID == sandbox {
			continue
		}
		raw, err := json.Marshal(a.CapabilityArgs["portMappings"])
		if err != nil {
			return err
		}
		var taken []portMapping
		if err := json.Unmarshal(raw, &taken); err != nil {
			return errs.Internal("the host ports of sandbox %s: %v", a.ContainerID, err)
		}
		for _, w := range portMappings(wanted) {
			for _, t := range taken {
				if w.overlaps(t) {
					return errs.AlreadyExists("attaching sandbox %s: host port %d/%s is taken by sandbox %s", sandbox, w.HostPort, w.Protocol, a.ContainerID).
						WithReason("HostPortTaken")
				}
			}
		}
	}
	return nil
}

// portMapping is one in the form of the capability portMappings of CNI.
type portMapping struct {
	HostPort      int32  `json:"hostPort"`
	ContainerPort int32  `json:"containerPort"`
	Protocol      string `json:"protocol"`
	HostIP        string `json:"hostIP,omitempty"`
}

func portMappings(ports []*network.PortMapping) []portMapping {
	mappings := make([]portMapping, 0, len(ports))
	for _, p := range ports {
		mappings = append(mappings, portMapping{p.GetHostPort(), p.GetContainerPort(), lower(p.GetProtocol()), p.GetHostIp()})
	}
	return mappings
}

func (m portMapping) overlaps(other portMapping) bool {
	return m.HostPort == other.HostPort && m.Protocol == other.Protocol &&
		(m.HostIP == other.HostIP || everyAddress(m.HostIP) || everyAddress(other.HostIP))
}

func everyAddress(ip string) bool {
	return ip == "" || net.ParseIP(ip).IsUnspecified()
}
