package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/network"
	"github.com/pintle-io/pintle/sdk/runtime"
)

func networkChecks() []Check {
	return []Check{
		networkCheck("attach", "An attached pod has an address of the node's pod ranges and is reached there by the node and by other pods, which are seen at their own addresses.", checkNetworkAttach),
		networkCheck("attach.twice", "Attach for an attached sandbox answers the same addresses.", checkAttachTwice),
		networkCheck("attach.concurrent", "Calls for different sandboxes may come at the same time; no two get the same address.", checkAttachConcurrent),
		networkCheck("attach.invalid", "Attach without a sandbox ID or without a namespace is INVALID_ARGUMENT, with a namespace that is not there NOT_FOUND.", checkAttachInvalid),
		networkCheck("attach.exhausted", "Attach is RESOURCE_EXHAUSTED when the range is used up, and succeeds again after a Detach.", checkAttachExhausted),
		networkCheck("attach.interrupted", "A plugin that is killed in the middle of Attach loses no address: Attach succeeds again, and Prune takes back what is not in the list.", checkAttachInterrupted),
		networkCheck("hostport", "A host port leads to the pod, from other machines and from pods; a second pod that wants it is ALREADY_EXISTS; Detach takes it back.", checkHostPort),
		networkCheck("detach", "Detach takes everything back and may be repeated, for an unknown sandbox and for a namespace that is gone, too.", checkDetach),
		networkCheck("unheld", "A packet to an address in the cluster ranges that nobody holds is rejected at once.", checkUnheld),
		networkCheck("restart", "Addresses and host ports stay in force while the plugin is away; its successor knows them.", checkNetworkRestart),
		networkCheck("prune", "Prune detaches every sandbox that is not in the list, names it, and leaves the others alone.", checkPrune),
		networkCheck("routes", "SetRoutes answers why the pods of a node can't be reached, by the node's name, and may be repeated; the node's own pods stay connected.", checkRoutes),
		networkCheck("leave", "Leave removes every link and route that the plugin made, may be repeated, and Configure makes a node of the machine again.", checkNetworkLeave),
	}
}

// networkCheck makes a check from a function that gets a world of its own.
func networkCheck(id, sentence string, run func(w *networkWorld) error) Check {
	return Check{ID: "network." + id, Sentence: sentence, Run: func(ctx context.Context, t *Target) error {
		if t.site == nil {
			return Skip("the options do not say that the process is in a network namespace of its own")
		}
		w := &networkWorld{Context: ctx, target: t, id: "cf-" + strings.ToLower(rand.Text()[:10])}
		err := w.open()
		if err == nil {
			err = run(w)
		}
		return errors.Join(err, w.clean())
	}}
}

// networkWorld is the plugin with the pods that one check made.
type networkWorld struct {
	context.Context
	target *Target
	id     string
	client *network.Client
	pods   []*networkPod
	stops  []func()
}

// networkPod is a namespace and the request that attaches it.
type networkPod struct {
	ns      *netNamespace
	request *network.AttachRequest
	// address is that of the last Attach.
	address string
}

// open connects, also again after a crash.
func (w *networkWorld) open() error {
	conn, err := w.target.Conn(w)
	if err != nil {
		return err
	}
	w.client = network.NewClient(conn)
	return nil
}

// clean detaches what a check attached, even where its time is over.
func (w *networkWorld) clean() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.Context), time.Minute)
	defer cancel()
	w.Context = ctx
	for _, stop := range w.stops {
		stop()
	}
	err := w.open()
	for _, p := range w.pods {
		if err == nil {
			err = w.detach(p)
		}
		err = errors.Join(err, p.ns.remove())
	}
	return err
}

// pod makes a namespace that is not attached yet.
func (w *networkWorld) pod() (*networkPod, error) {
	id := fmt.Sprintf("%s-%d", w.id, len(w.pods))
	ns, err := newNetNamespace(filepath.Join(w.target.dir, id))
	if err != nil {
		return nil, err
	}
	p := &networkPod{ns: ns, request: &network.AttachRequest{
		SandboxId: id, NetworkNamespace: ns.path,
		Pod: &runtime.PodIdentity{Namespace: "default", Name: id, Uid: id},
	}}
	w.pods = append(w.pods, p)
	return p, nil
}

func (w *networkWorld) attach(p *networkPod) error {
	resp, err := w.client.Attach(w, p.request)
	if err != nil {
		return fmt.Errorf("Attach: %w", err)
	}
	if len(resp.GetAddresses()) == 0 {
		return errors.New("Attach answers with no address")
	}
	p.address = resp.GetAddresses()[0]
	return nil
}

func (w *networkWorld) detach(p *networkPod) error {
	_, err := w.client.Detach(w, &network.DetachRequest{
		SandboxId: p.request.GetSandboxId(), Pod: p.request.GetPod(),
		NetworkNamespace: p.request.GetNetworkNamespace(), PortMappings: p.request.GetPortMappings(),
	})
	if err != nil {
		return fmt.Errorf("Detach: %w", err)
	}
	return nil
}

// attached makes a pod with a server at port 80 of its address.
func (w *networkWorld) attached(ports ...*network.PortMapping) (*networkPod, error) {
	p, err := w.pod()
	if err != nil {
		return nil, err
	}
	p.request.PortMappings = ports
	if err := w.attach(p); err != nil {
		return nil, err
	}
	return p, w.serve(p)
}

func (w *networkWorld) serve(p *networkPod) error {
	stop, err := serveNames(p.ns, p.address+":80", p.request.GetSandboxId())
	if err == nil {
		w.stops = append(w.stops, stop)
	}
	return err
}

// reaches checks that a client's question arrives at a pod, and who asked as
// the pod sees it; client is empty where that does not matter.
func (w *networkWorld) reaches(from *netNamespace, address string, p *networkPod, client string) error {
	for _, network := range []string{"tcp", "udp"} {
		a, err := ask(from, network, address)
		if err != nil {
			return fmt.Errorf("reach %s: %w", p.request.GetSandboxId(), err)
		}
		if a.server != p.request.GetSandboxId() {
			return fmt.Errorf("%s %s is answered by %s, not by %s", network, address, a.server, p.request.GetSandboxId())
		}
		if client != "" && a.client != client {
			return fmt.Errorf("%s %s is asked by %s and sees %s", network, address, client, a.client)
		}
	}
	return nil
}

func checkNetworkAttach(w *networkWorld) error {
	a, err := w.attached()
	if err != nil {
		return err
	}
	b, err := w.attached()
	if err != nil {
		return err
	}
	for _, p := range []*networkPod{a, b} {
		if !within(p.address, w.target.site.node.GetPodCidrs()) {
			return fmt.Errorf("the address %s is not in %v", p.address, w.target.site.node.GetPodCidrs())
		}
	}
	return errors.Join(
		w.reaches(a.ns, b.address+":80", b, a.address),
		w.reaches(b.ns, a.address+":80", a, b.address),
		w.reaches(nil, a.address+":80", a, ""),
	)
}

func within(address string, cidrs []string) bool {
	a, err := netip.ParseAddr(address)
	for _, cidr := range cidrs {
		prefix, bad := netip.ParsePrefix(cidr)
		if err == nil && bad == nil && prefix.Contains(a) {
			return true
		}
	}
	return false
}

func checkAttachTwice(w *networkWorld) error {
	p, err := w.attached()
	if err != nil {
		return err
	}
	before := p.address
	if err := w.attach(p); err != nil {
		return fmt.Errorf("the second time: %w", err)
	}
	if p.address != before {
		return fmt.Errorf("the address was %s and is %s", before, p.address)
	}
	return w.reaches(nil, p.address+":80", p, "")
}

func checkAttachConcurrent(w *networkWorld) error {
	const pods = 4
	var calls callGroup
	for range pods {
		p, err := w.pod()
		if err != nil {
			return err
		}
		calls.Go(func() error { return w.attach(p) })
	}
	if err := calls.Wait(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, p := range w.pods {
		if seen[p.address] {
			return fmt.Errorf("two pods have the address %s", p.address)
		}
		seen[p.address] = true
		calls.Go(func() error { return w.detach(p) })
	}
	return calls.Wait()
}

func checkAttachInvalid(w *networkWorld) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	for what, change := range map[string]func(*network.AttachRequest){
		"sandbox_id":        func(r *network.AttachRequest) { r.SandboxId = "" },
		"network_namespace": func(r *network.AttachRequest) { r.NetworkNamespace = "" },
	} {
		req := proto.CloneOf(p.request)
		change(req)
		_, err := w.client.Attach(w, req)
		if err := mustBe(err, errs.ClassInvalidArgument, "Attach without "+what); err != nil {
			return err
		}
	}
	req := proto.CloneOf(p.request)
	req.NetworkNamespace += "-missing"
	_, err = w.client.Attach(w, req)
	return mustBe(err, errs.ClassNotFound, "Attach with a namespace that is not there")
}

// mostAddresses bounds the ranges that are filled, for the time that it takes.
const mostAddresses = 16

func (w *networkWorld) smallRange() error {
	total := 0
	for _, cidr := range w.target.site.node.GetPodCidrs() {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return err
		}
		if bits := prefix.Addr().BitLen() - prefix.Bits(); bits > 4 {
			return Skip("the pod range %s has more than %d addresses", cidr, mostAddresses)
		}
		total += 1 << (prefix.Addr().BitLen() - prefix.Bits())
	}
	if total > mostAddresses {
		return Skip("the pod ranges have more than %d addresses", mostAddresses)
	}
	return nil
}

func checkAttachExhausted(w *networkWorld) error {
	if err := w.smallRange(); err != nil {
		return err
	}
	for range mostAddresses + 1 {
		p, err := w.pod()
		if err != nil {
			return err
		}
		if _, err := w.client.Attach(w, p.request); err != nil {
			if err := mustBe(err, errs.ClassResourceExhausted, fmt.Sprintf("Attach number %d", len(w.pods))); err != nil {
				return err
			}
			if len(w.pods) == 1 {
				return errors.New("the first Attach fails: earlier checks lost all addresses")
			}
			if err := w.detach(w.pods[0]); err != nil {
				return err
			}
			if err := w.attach(p); err != nil {
				return fmt.Errorf("after a Detach: %w", err)
			}
			return nil
		}
	}
	return fmt.Errorf("%v gives %d addresses", w.target.site.node.GetPodCidrs(), mostAddresses+1)
}

func checkAttachInterrupted(w *networkWorld) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	// An Attach takes some tens of milliseconds; the plugin is killed early,
	// late and in between.
	for _, after := range []time.Duration{5, 10, 20, 40, 60, 80, 120, 160} {
		interrupted, err := w.pod()
		if err != nil {
			return err
		}
		done := make(chan error, 1)
		go func() {
			_, err := w.client.Attach(w, interrupted.request)
			done <- err
		}()
		time.Sleep(after * time.Millisecond)
		if err := w.target.Crash(w); err != nil {
			return err
		}
		<-done
		if err := w.open(); err != nil {
			return err
		}
	}
	if err := w.attach(w.pods[1]); err != nil {
		return fmt.Errorf("after the plugin was killed in an Attach of the same sandbox: %w", err)
	}
	if err := w.attach(p); err != nil {
		return err
	}
	if _, err := w.client.Prune(w, &network.PruneRequest{}); err != nil {
		return fmt.Errorf("Prune: %w", err)
	}
	if w.smallRange() != nil {
		return nil
	}
	// Every address that can be given must be there.
	whole := 0
	for range mostAddresses {
		q, err := w.pod()
		if err != nil {
			return err
		}
		if err := w.attach(q); err != nil {
			break
		}
		whole++
	}
	prefix, err := netip.ParsePrefix(w.target.site.node.GetPodCidrs()[0])
	if err != nil {
		return err
	}
	// Network, broadcast and gateway are nobody's.
	if least := 1<<(prefix.Addr().BitLen()-prefix.Bits()) - 3; whole < least {
		return fmt.Errorf("after Prune of all sandboxes %d addresses of %s can be had, not %d", whole, prefix, least)
	}
	return nil
}

func checkHostPort(w *networkWorld) error {
	const port = 18080
	ports := []*network.PortMapping{
		{Protocol: "TCP", ContainerPort: 80, HostPort: port},
		{Protocol: "UDP", ContainerPort: 80, HostPort: port},
	}
	p, err := w.attached(ports...)
	if err != nil {
		return err
	}
	client, err := w.attached()
	if err != nil {
		return err
	}
	address := fmt.Sprintf("%s:%d", w.target.site.node.GetAddresses()[0], port)
	if err := w.reaches(w.target.site.outside, address, p, w.target.site.outsideAddress); err != nil {
		return fmt.Errorf("from another machine: %w", err)
	}
	if err := w.reaches(client.ns, address, p, ""); err != nil {
		return fmt.Errorf("from a pod: %w", err)
	}
	rival, err := w.pod()
	if err != nil {
		return err
	}
	rival.request.PortMappings = ports[:1]
	_, err = w.client.Attach(w, rival.request)
	if err := mustBe(err, errs.ClassAlreadyExists, "Attach with a host port that is taken"); err != nil {
		return err
	}
	if err := w.attach(p); err != nil {
		return fmt.Errorf("the one that has it, again: %w", err)
	}
	if err := w.detach(p); err != nil {
		return err
	}
	if err := refused(w.target.site.outside, "tcp", address); err != nil {
		return fmt.Errorf("after Detach: %w", err)
	}
	if err := w.attach(rival); err != nil {
		return fmt.Errorf("with a host port that was given back: %w", err)
	}
	return nil
}

func checkDetach(w *networkWorld) error {
	p, err := w.attached()
	if err != nil {
		return err
	}
	gone, err := w.attached()
	if err != nil {
		return err
	}
	if err := gone.ns.remove(); err != nil {
		return err
	}
	for _, q := range []*networkPod{p, gone} {
		for range 2 {
			if err := w.detach(q); err != nil {
				return err
			}
		}
		if err := refused(nil, "tcp", q.address+":80"); err != nil {
			return fmt.Errorf("after Detach: %w", err)
		}
	}
	if _, err := w.client.Detach(w, &network.DetachRequest{SandboxId: w.id + "-unknown"}); err != nil {
		return fmt.Errorf("Detach of an unknown sandbox: %w", err)
	}
	return nil
}

func checkUnheld(w *networkWorld) error {
	p, err := w.attached()
	if err != nil {
		return err
	}
	var unheld []string
	for _, cidr := range []string{w.target.site.node.GetPodCidrs()[0], w.target.site.node.GetClusterCidrs()[0]} {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return err
		}
		unheld = append(unheld, lastOf(prefix).String())
	}
	for _, address := range unheld {
		for _, from := range []*netNamespace{nil, p.ns, w.target.site.outside} {
			// A socket of UDP is told of a port alone, not of a host.
			if err := refused(from, "tcp", address+":80"); err != nil {
				return err
			}
		}
	}
	return nil
}

// lastOf returns an address near the end of a range, not the broadcast one.
func lastOf(prefix netip.Prefix) netip.Addr {
	raw := prefix.Masked().Addr().AsSlice()
	for bit := prefix.Bits(); bit < 8*len(raw); bit++ {
		raw[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(raw)
	return last.Prev()
}

func checkNetworkRestart(w *networkWorld) error {
	const port = 18081
	p, err := w.attached(&network.PortMapping{Protocol: "TCP", ContainerPort: 80, HostPort: port})
	if err != nil {
		return err
	}
	before := p.address
	if err := w.target.Crash(w); err != nil {
		return err
	}
	hostPort := fmt.Sprintf("%s:%d", w.target.site.node.GetAddresses()[0], port)
	for from, address := range map[*netNamespace]string{nil: before + ":80", w.target.site.outside: hostPort} {
		if _, err := ask(from, "tcp", address); err != nil {
			return fmt.Errorf("while the plugin is away: %w", err)
		}
	}
	if err := w.open(); err != nil {
		return err
	}
	if err := w.attach(p); err != nil {
		return fmt.Errorf("after a restart: %w", err)
	}
	if p.address != before {
		return fmt.Errorf("after a restart the address %s became %s", before, p.address)
	}
	return nil
}

func checkPrune(w *networkWorld) error {
	stays, err := w.attached()
	if err != nil {
		return err
	}
	goes, err := w.attached()
	if err != nil {
		return err
	}
	resp, err := w.client.Prune(w, &network.PruneRequest{SandboxIds: []string{stays.request.GetSandboxId()}})
	if err != nil {
		return fmt.Errorf("Prune: %w", err)
	}
	if len(resp.GetDetached()) != 1 || resp.GetDetached()[0] != goes.request.GetSandboxId() {
		return fmt.Errorf("Prune says that it detached %v, not %s alone", resp.GetDetached(), goes.request.GetSandboxId())
	}
	if err := refused(nil, "tcp", goes.address+":80"); err != nil {
		return fmt.Errorf("after Prune: %w", err)
	}
	return w.reaches(nil, stays.address+":80", stays, "")
}

func checkRoutes(w *networkWorld) error {
	p, err := w.attached()
	if err != nil {
		return err
	}
	node, err := w.target.configureRequest()
	if err != nil {
		return err
	}
	prefix, err := netip.ParsePrefix(node.GetNode().GetClusterCidrs()[0])
	if err != nil {
		return err
	}
	far := netip.PrefixFrom(lastOf(prefix), 32).String()
	near := netip.PrefixFrom(lastOf(prefix).Prev(), 32).String()
	req := &network.SetRoutesRequest{Node: node.GetNode(), Routes: []*network.NodeRoute{
		{Name: "far", Addresses: []string{"203.0.113.77"}, PodCidrs: []string{far}},
		{Name: "near", Addresses: []string{w.target.site.outsideAddress}, PodCidrs: []string{near}},
		{Name: "new"},
	}}
	for range 2 {
		resp, err := w.client.SetRoutes(w, req)
		if err != nil {
			return fmt.Errorf("SetRoutes: %w", err)
		}
		for _, fine := range []string{"near", "new"} {
			if why := resp.GetErrors()[fine]; why != "" {
				return fmt.Errorf("SetRoutes has an error for the node %s: %s", fine, why)
			}
		}
	}
	if err := w.reaches(nil, p.address+":80", p, ""); err != nil {
		return err
	}
	if _, err := w.client.SetRoutes(w, &network.SetRoutesRequest{Node: node.GetNode()}); err != nil {
		return fmt.Errorf("SetRoutes without other nodes: %w", err)
	}
	for _, cidr := range []string{far, near} {
		if err := refused(p.ns, "tcp", strings.TrimSuffix(cidr, "/32")+":80"); err != nil {
			return fmt.Errorf("after the node is gone: %w", err)
		}
	}
	return nil
}

func checkNetworkLeave(w *networkWorld) error {
	leave := func() (string, error) {
		for range 2 {
			if _, err := w.client.Leave(w, &network.LeaveRequest{}); err != nil {
				return "", fmt.Errorf("Leave: %w", err)
			}
		}
		return linksAndRoutes()
	}
	before, err := leave()
	if err != nil {
		return err
	}
	// A process that left is not configured any more.
	if err := w.target.Crash(w); err != nil {
		return err
	}
	if err := w.open(); err != nil {
		return err
	}
	p, err := w.attached(&network.PortMapping{Protocol: "TCP", ContainerPort: 80, HostPort: 18082})
	if err != nil {
		return fmt.Errorf("after Leave and Configure: %w", err)
	}
	if err := w.reaches(nil, p.address+":80", p, ""); err != nil {
		return err
	}
	after, err := leave()
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("left behind; before:\n%s\nafter:\n%s", before, after)
	}
	// What follows finds a node again.
	return w.target.Crash(w)
}

// linksAndRoutes lists what the node's namespace has.
func linksAndRoutes() (string, error) {
	var all strings.Builder
	links, err := net.Interfaces()
	if err != nil {
		return "", err
	}
	for _, link := range links {
		all.WriteString(link.Name + "\n")
	}
	routes, err := os.ReadFile("/proc/thread-self/net/route")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(routes)) {
		// Link, destination, gateway and flags; the rest are counters.
		if words := strings.Fields(line); len(words) > 4 {
			all.WriteString(strings.Join(words[:4], " ") + "\n")
		}
	}
	return all.String(), nil
}
