package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
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
		if err := checkPlugins(c.config.BinDirs); err != nil {
			return err
		}
	}
	c.state = req.GetNode().GetStateDir()
	c.lib = libcni.NewCNIConfigWithCacheDir(c.config.BinDirs, filepath.Join(c.state, "results"), nil)
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
	if err := enableForwarding(); err != nil {
		return err
	}
	if err := rejectUnheld(append(slices.Clone(node.GetClusterCidrs()), node.GetPodCidrs()...)); err != nil {
		return err
	}
	return masquerade(node.GetPodCidrs(), slices.Concat(node.GetClusterCidrs(), node.GetServiceCidrs()))
}

// ownList writes the configuration for the node's pod ranges. Without ranges it
// is the one written last, by which what hangs in it is detached.
func (c *cni) ownList(node *network.NodeInfo) (*libcni.NetworkConfigList, error) {
	file := filepath.Join(c.state, networkName+".conflist")
	if len(node.GetPodCidrs()) == 0 {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return libcni.NetworkConfFromFile(file)
	}
	list, err := writtenList(node.GetPodCidrs(), c.config.MTU, filepath.Join(c.state, "leases"))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.MkdirAll(c.state, 0o700), os.WriteFile(file, list.Bytes, 0o600)); err != nil {
		return nil, fmt.Errorf("writing the CNI configuration: %w", err)
	}
	return list, nil
}

func (c *cni) SetRoutes(_ context.Context, req *network.SetRoutesRequest) (*network.SetRoutesResponse, error) {
	if req.GetNode() != nil {
		if err := c.setNode(req.GetNode()); err != nil {
			return nil, err
		}
	}
	failed, err := setNodeRoutes(req.GetRoutes())
	if err != nil {
		return nil, err
	}
	return &network.SetRoutesResponse{Errors: failed}, nil
}

func (c *cni) Attach(ctx context.Context, req *network.AttachRequest) (*network.AttachResponse, error) {
	list, err := c.current()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(req.GetNetworkNamespace()); err != nil {
		return nil, errs.NotFound("the network namespace of sandbox %s: %v", req.GetSandboxId(), err)
	}
	rt := runtimeConf(req.GetSandboxId(), req.GetNetworkNamespace(), req.GetPod(), req.GetPortMappings())
	if cached, err := c.lib.GetNetworkListCachedResult(list, rt); err == nil && cached != nil {
		if c.lib.CheckNetworkList(ctx, list, rt) == nil {
			return response(cached)
		}
		// Half made, or the machine was started again.
		if err := c.lib.DelNetworkList(ctx, list, rt); err != nil {
			return nil, fmt.Errorf("clearing the old network of sandbox %s: %w", req.GetSandboxId(), err)
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
	return response(result)
}

func (c *cni) Detach(ctx context.Context, req *network.DetachRequest) (*network.DetachResponse, error) {
	list, err := c.current()
	if err != nil {
		return nil, err
	}
	netns := req.GetNetworkNamespace()
	if _, err := os.Stat(netns); err != nil {
		// To a CNI plugin an empty path says that the namespace is gone.
		netns = ""
	}
	rt := runtimeConf(req.GetSandboxId(), netns, req.GetPod(), req.GetPortMappings())
	if err := c.lib.DelNetworkList(ctx, list, rt); err != nil {
		return nil, errs.Unavailable("detaching sandbox %s: %v", req.GetSandboxId(), err)
	}
	return &network.DetachResponse{}, nil
}

func (c *cni) Prune(ctx context.Context, req *network.PruneRequest) (*network.PruneResponse, error) {
	attached, err := c.lib.GetCachedAttachments("")
	if err != nil {
		return nil, fmt.Errorf("listing the attached sandboxes: %w", err)
	}
	res := &network.PruneResponse{}
	for _, a := range attached {
		if slices.Contains(req.GetSandboxIds(), a.ContainerID) {
			continue
		}
		_, err := c.Detach(ctx, &network.DetachRequest{SandboxId: a.ContainerID, NetworkNamespace: a.NetNS})
		if err != nil {
			return nil, err
		}
		res.Detached = append(res.Detached, a.ContainerID)
	}
	return res, nil
}

func (c *cni) Leave(ctx context.Context, _ *network.LeaveRequest) (*network.LeaveResponse, error) {
	if _, err := c.Prune(ctx, &network.PruneRequest{}); err != nil {
		return nil, err
	}
	if err := leave(); err != nil {
		return nil, err
	}
	return &network.LeaveResponse{}, os.RemoveAll(filepath.Join(c.state, "leases"))
}

// current is the configuration in force.
func (c *cni) current() (*libcni.NetworkConfigList, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.list == nil {
		return nil, errs.Unavailable("the node has no pod range yet")
	}
	return c.list, nil
}

func runtimeConf(sandbox, netns string, pod interface {
	GetNamespace() string
	GetName() string
	GetUid() string
}, ports []*network.PortMapping) *libcni.RuntimeConf {
	type mapping struct {
		HostPort      int32  `json:"hostPort"`
		ContainerPort int32  `json:"containerPort"`
		Protocol      string `json:"protocol"`
		HostIP        string `json:"hostIP,omitempty"`
	}
	mappings := make([]mapping, 0, len(ports))
	for _, p := range ports {
		mappings = append(mappings, mapping{p.GetHostPort(), p.GetContainerPort(), lower(p.GetProtocol()), p.GetHostIp()})
	}
	return &libcni.RuntimeConf{
		ContainerID: sandbox, NetNS: netns, IfName: interfaceName,
		Args: [][2]string{
			{"IgnoreUnknown", "1"}, {"K8S_POD_NAMESPACE", pod.GetNamespace()},
			{"K8S_POD_NAME", pod.GetName()}, {"K8S_POD_UID", pod.GetUid()},
		},
		CapabilityArgs: map[string]any{"portMappings": mappings},
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
