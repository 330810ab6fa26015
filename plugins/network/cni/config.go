package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/containernetworking/cni/libcni"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/network"
)

// networkName names the written configuration, and with it the directories of
// its address leases and cached results.
const networkName = "pintle"

// config is the operator's; schema.json says what the fields mean.
type config struct {
	BinDirs []string `json:"binDirs"`
	ConfDir string   `json:"confDir"`
	MTU     int      `json:"mtu"`
}

func defaultConfig() config {
	return config{BinDirs: []string{"/opt/cni/bin", "/usr/lib/cni"}}
}

// writtenPlugins are what the written configuration executes.
var writtenPlugins = []string{"ptp", "host-local", "portmap"}

// checkPlugins says which package has a plugin that is missing.
func checkPlugins(dirs []string, names ...string) error {
	for _, name := range names {
		there := slices.ContainsFunc(dirs, func(dir string) bool {
			info, err := os.Stat(filepath.Join(dir, name))
			return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
		})
		if !there {
			return errs.FailedPrecondition("the CNI plugin %s is in none of %v", name, dirs).
				WithReason("CNIPluginMissing").WithHint("install the package containernetworking-plugins, or name the directory of the plugins in binDirs")
		}
	}
	return nil
}

// operatorList loads the first configuration list of a directory.
func operatorList(dir string) (*libcni.NetworkConfigList, error) {
	files, err := libcni.ConfFiles(dir, []string{".conflist"})
	if err != nil {
		return nil, fmt.Errorf("reading the CNI configuration in %s: %w", dir, err)
	}
	if len(files) == 0 {
		return nil, errs.FailedPrecondition("confDir %s has no *.conflist", dir)
	}
	slices.Sort(files)
	list, err := libcni.NetworkConfFromFile(files[0])
	if err != nil {
		return nil, errs.InvalidArgument("the CNI configuration %s: %v", files[0], err)
	}
	return list, nil
}

// writtenList is the configuration for the node's pod ranges. Every pod hangs on
// a point-to-point link and is reached by a route of its own, so all traffic of
// pods passes the node's IP layer: service rules see it without the bridge
// netfilter, and an address that no pod holds has no route and is rejected at
// once, not after a time-out of ARP.
func writtenList(podCIDRs []string, mtu int, leaseDir string, further []string) (*libcni.NetworkConfigList, error) {
	type object = map[string]any
	var ranges [][]object
	var routes []object
	for _, cidr := range podCIDRs {
		everywhere := "::/0"
		if isV4(cidr) {
			everywhere = "0.0.0.0/0"
		} else if !haveIPv6() {
			continue
		}
		ranges = append(ranges, []object{{"subnet": cidr}})
		if route := (object{"dst": everywhere}); !slices.ContainsFunc(routes, func(r object) bool { return r["dst"] == everywhere }) {
			routes = append(routes, route)
		}
	}
	plugins := []object{
		{
			"type": "ptp", "mtu": mtu,
			"ipam": object{"type": "host-local", "ranges": ranges, "dataDir": leaseDir, "routes": routes},
		},
		{"type": "portmap", "capabilities": object{"portMappings": true}, "snat": true},
	}
	for _, name := range further {
		plugins = append(plugins, object{"type": name, "capabilities": object{name: true}})
	}
	raw, err := json.Marshal(object{"cniVersion": "1.0.0", "name": networkName, "plugins": plugins})
	if err != nil {
		return nil, err
	}
	return libcni.NetworkConfFromBytes(raw)
}

// bandwidth is the capability of that name, nil where a sandbox has no limits.
func bandwidth(req *network.AttachRequest) map[string]uint64 {
	limits := map[string]uint64{}
	for direction, rate := range map[string]uint64{"ingress": req.GetIngressBandwidth(), "egress": req.GetEgressBandwidth()} {
		if rate > 0 {
			limits[direction+"Rate"] = rate
			// Bits: an eighth of a second, but no less than some large packets.
			limits[direction+"Burst"] = min(max(rate/8, 1<<21), math.MaxInt32)
		}
	}
	if len(limits) == 0 {
		return nil
	}
	return limits
}
