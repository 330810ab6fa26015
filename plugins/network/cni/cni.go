package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/containernetworking/cni/libcni"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/network"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// interfaceName of every pod's link, inside its namespace.
const interfaceName = "eth0"

// cni is the plugin. All that it knows is in the node's routes and in the files
// of libcni (results) and host-local (leases) below its state directory.
type cni struct {
	config config
	lib    *libcni.CNIConfig
	state  string

	mu   sync.RWMutex
	node *network.NodeInfo
	// list is nil until the node has a pod range.
	list *libcni.NetworkConfigList

	sandboxes locks
	// ports is held from the look for a free host port until it is taken.
	ports sync.Mutex
}

var _ plugin.Configurer = (*cni)(nil)

func (c *cni) Configure(ctx context.Context, req *plugin.ConfigureRequest) error {
	c.config = defaultConfig()
	if err := plugin.DecodeConfig(req, &c.config); err != nil {
		return err
	}
	if req.GetNode() == nil {
		return errs.InvalidArgument("a network plugin runs on a node: the configuration names none")
	}
	if c.config.ConfDir == "" {
		if err := checkPlugins(c.config.BinDirs, writtenPlugins...); err != nil {
			return err
		}
	}
	c.state = req.GetNode().GetStateDir()
	c.lib = libcni.NewCNIConfigWithCacheDir(c.config.BinDirs, c.cacheDir(), newExecutor(c.underWay()))
	return c.setNode(req.GetNode())
}

// setNode takes over the node's ranges and puts its own routes and rules in
// force.
func (c *cni) setNode(node *network.NodeInfo) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	if c.config.ConfDir != "" {
		c.list, err = operatorList(c.config.ConfDir)
	} else {
		c.list, err = c.ownList(node)
	}
	if err != nil {
		return err
	}
	c.node = node
	ranges := slices.Concat(node.GetClusterCidrs(), node.GetPodCidrs())
	if err := enableForwarding(ranges); err != nil {
		return err
	}
	if err := rejectUnheld(ranges); err != nil {
		return err
	}
	return putChains(node)
}

// ownList writes the configuration for the node's pod ranges. Without ranges it
// is the one written last, by which what hangs in it is detached.
func (c *cni) ownList(node *network.NodeInfo) (*libcni.NetworkConfigList, error) {
	if len(node.GetPodCidrs()) == 0 {
		if _, err := os.Stat(c.listFile()); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return libcni.NetworkConfFromFile(c.listFile())
	}
	list, err := c.written(node)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.MkdirAll(c.state, 0o700), os.WriteFile(c.listFile(), list.Bytes, 0o600)); err != nil {
		return nil, fmt.Errorf("writing the CNI configuration: %w", err)
	}
	return list, nil
}

// written is the configuration that the plugin writes where the operator gave
// none, with further CNI plugins at its end.
func (c *cni) written(node *network.NodeInfo, further ...string) (*libcni.NetworkConfigList, error) {
	mtu := c.config.MTU
	if mtu == 0 {
		mtu = nodeMTU(node.GetAddresses())
	}
	return writtenList(node.GetPodCidrs(), mtu, c.leaseDir(), further)
}

func (c *cni) ownRanges() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.node.GetPodCidrs()
}

func (c *cni) SetRoutes(_ context.Context, req *network.SetRoutesRequest) (*network.SetRoutesResponse, error) {
	if req.GetNode() != nil {
		if err := c.setNode(req.GetNode()); err != nil {
			return nil, err
		}
	}
	failed, err := setNodeRoutes(req.GetRoutes(), c.ownRanges())
	if err != nil {
		return nil, err
	}
	return &network.SetRoutesResponse{Errors: failed}, nil
}

func (c *cni) Attach(ctx context.Context, req *network.AttachRequest) (*network.AttachResponse, error) {
	defer c.sandboxes.hold(req.GetSandboxId())()
	list, err := c.listFor(req)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(req.GetNetworkNamespace()); err != nil {
		return nil, errs.NotFound("the network namespace of sandbox %s: %v", req.GetSandboxId(), err)
	}
	if len(req.GetPortMappings()) > 0 {
		c.ports.Lock()
		defer c.ports.Unlock()
		if err := c.checkPorts(req.GetSandboxId(), req.GetPortMappings()); err != nil {
			return nil, err
		}
	}
	rt := runtimeConf(req.GetSandboxId(), req.GetNetworkNamespace(), req.GetPod(), req.GetPortMappings())
	if limits := bandwidth(req); limits != nil {
		rt.CapabilityArgs["bandwidth"] = limits
	}
	cached, err := c.lib.GetNetworkListCachedResult(list, rt)
	if result, ok := cached.(*types100.Result); err == nil && ok && intact(result, req.GetNetworkNamespace()) {
		return response(result)
	}
	holders, err := c.leases()
	if err != nil {
		return nil, err
	}
	if cached != nil || holders[req.GetSandboxId()] {
		// The machine was started again, or an Attach was interrupted.
		if err := c.detach(ctx, req.GetSandboxId(), req.GetNetworkNamespace(), req.GetPod(), req.GetPortMappings()); err != nil {
			return nil, err
		}
	}
	result, err := c.lib.AddNetworkList(ctx, list, rt)
	if err != nil {
		// A CNI plugin that fails in the middle leaves what it made so far.
		if undo := c.lib.DelNetworkList(context.WithoutCancel(ctx), list, rt); undo != nil {
			slog.Warn("an attachment that failed could not be undone", "sandbox", req.GetSandboxId(), "err", undo)
		}
		return nil, attachError(req.GetSandboxId(), err)
	}
	if err := noRedirects(result); err != nil {
		slog.Warn("a pod will be told of shorter ways that are none", "sandbox", req.GetSandboxId(), "err", err)
	}
	return response(result)
}

func (c *cni) Detach(ctx context.Context, req *network.DetachRequest) (*network.DetachResponse, error) {
	defer c.sandboxes.hold(req.GetSandboxId())()
	err := c.detach(ctx, req.GetSandboxId(), req.GetNetworkNamespace(), req.GetPod(), req.GetPortMappings())
	if err != nil {
		return nil, err
	}
	return &network.DetachResponse{}, nil
}

func (c *cni) Prune(ctx context.Context, req *network.PruneRequest) (*network.PruneResponse, error) {
	if err := awaitExecutions(ctx, c.underWay()); err != nil {
		return nil, err
	}
	attached, err := c.lib.GetCachedAttachments("")
	if err != nil {
		return nil, fmt.Errorf("listing the attached sandboxes: %w", err)
	}
	sandboxes, err := c.leases()
	if err != nil {
		return nil, err
	}
	for _, a := range attached {
		sandboxes[a.ContainerID] = true
	}
	res := &network.PruneResponse{}
	var failed error
	for _, sandbox := range slices.Sorted(maps.Keys(sandboxes)) {
		if slices.Contains(req.GetSandboxIds(), sandbox) {
			continue
		}
		// One that can't be detached holds up no others.
		if _, err := c.Detach(ctx, &network.DetachRequest{SandboxId: sandbox}); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		res.Detached = append(res.Detached, sandbox)
	}
	return res, failed
}

func (c *cni) Leave(ctx context.Context, _ *network.LeaveRequest) (*network.LeaveResponse, error) {
	if _, err := c.Prune(ctx, &network.PruneRequest{}); err != nil {
		return nil, err
	}
	if err := errors.Join(removeRoutes(), removeChains(), removePortmapChains()); err != nil {
		return nil, err
	}
	err := errors.Join(os.RemoveAll(c.leaseDir()), os.RemoveAll(c.cacheDir()), os.RemoveAll(c.listFile()), os.RemoveAll(c.underWay()))
	if err != nil {
		return nil, fmt.Errorf("removing the files of the pods' network: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = nil
	return &network.LeaveResponse{}, nil
}

// underWay is the file that is locked while CNI plugins run.
func (c *cni) underWay() string { return filepath.Join(c.state, "under-way") }

func (c *cni) cacheDir() string { return filepath.Join(c.state, "results") }
func (c *cni) listFile() string { return filepath.Join(c.state, networkName+".conflist") }

// current is the configuration in force, nil where there is none yet.
func (c *cni) current() *libcni.NetworkConfigList {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.list
}

// listFor is the configuration to attach a sandbox with.
func (c *cni) listFor(req *network.AttachRequest) (*libcni.NetworkConfigList, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	switch {
	case c.list == nil:
		return nil, errs.Unavailable("the node has no pod range yet")
	case c.config.ConfDir != "" || bandwidth(req) == nil:
		return c.list, nil
	}
	if err := checkPlugins(c.config.BinDirs, "bandwidth"); err != nil {
		return nil, err
	}
	return c.written(c.node, "bandwidth")
}

type podIdentity interface {
	GetNamespace() string
	GetName() string
	GetUid() string
}

func runtimeConf(sandbox, netns string, pod podIdentity, ports []*network.PortMapping) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{
		ContainerID: sandbox, NetNS: netns, IfName: interfaceName,
		Args: [][2]string{
			{"IgnoreUnknown", "1"}, {"K8S_POD_NAMESPACE", pod.GetNamespace()},
			{"K8S_POD_NAME", pod.GetName()}, {"K8S_POD_UID", pod.GetUid()},
		},
		CapabilityArgs: map[string]any{"portMappings": portMappings(ports)},
	}
}

func response(result any) (*network.AttachResponse, error) {
	r, ok := result.(*types100.Result)
	if !ok {
		return nil, errs.Internal("the CNI plugins answered with a result of type %T", result)
	}
	res := &network.AttachResponse{}
	for _, ip := range r.IPs {
		res.Addresses = append(res.Addresses, ip.Address.IP.String())
	}
	if len(res.Addresses) == 0 {
		return nil, errs.Internal("the CNI plugins gave no address")
	}
	return res, nil
}
