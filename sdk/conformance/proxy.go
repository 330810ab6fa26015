package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/proxy"
)

func proxyChecks() []Check {
	return []Check{
		proxyCheck("sync.first", "The first request of a stream must have full set: any other is INVALID_ARGUMENT.", checkSyncFirst),
		proxyCheck("sync.revision", "Every revision is acknowledged, by its own response or by that of a later one, also where nothing changed.", checkSyncRevision),
		proxyCheck("sync.errors", "A service that can't be served is in the response with words; the others are in force all the same.", checkSyncErrors),
		proxyCheck("sync.removed", "A service that is removed, or missing from a full state, is rejected.", checkSyncRemoved),
		proxyCheck("clusterip", "A service address reaches all ready endpoints, TCP and UDP, from pods and from the node; endpoints see the pod's own address.", checkClusterIP),
		proxyCheck("reject", "A service without endpoints, a port that no service has and an address that no service holds are rejected at once.", checkProxyReject),
		proxyCheck("hairpin", "An endpoint reaches itself by its service.", checkHairpin),
		proxyCheck("terminating", "Where no endpoint is ready, connections go to those that still serve while they end.", checkProxyTerminating),
		proxyCheck("udp", "A UDP client that goes on sending reaches the endpoints that there are, not one that is gone.", checkStaleUDP),
		proxyCheck("affinity", "With client affinity all connections of a client go to one endpoint.", checkAffinity),
		proxyCheck("nodeport", "A node port and external addresses reach the endpoints from other machines.", checkNodePort),
		proxyCheck("policy.internal", "With internal traffic policy Local a service address reaches this node's endpoints alone; node ports reach all.", checkInternalPolicy),
		proxyCheck("policy.external", "With external traffic policy Local clients outside reach this node's endpoints alone, are seen at their own address, and are rejected where there is none; pods reach all.", checkExternalPolicy),
		proxyCheck("restart", "Rules stay in force while the plugin is away, and its successor takes them over without a gap.", checkProxyRestart),
		proxyCheck("leave", "Leave removes every rule, may be repeated, and a Sync makes them again.", checkProxyLeave),
	}
}

// proxyCheck makes a check from a function that gets a world of its own.
func proxyCheck(id, sentence string, run func(w *proxyWorld) error) Check {
	return Check{ID: "proxy." + id, Sentence: sentence, Run: func(ctx context.Context, t *Target) error {
		if t.site == nil {
			return Skip("the options do not say that the process is in a network namespace of its own")
		}
		w := &proxyWorld{Context: ctx, target: t}
		err := w.open()
		if err == nil {
			err = run(w)
		}
		return errors.Join(err, w.clean())
	}}
}

// proxyWorld is the plugin with the pods that one check made.
type proxyWorld struct {
	context.Context
	target   *Target
	client   *proxy.Client
	stream   proxy.Stream
	hangUp   context.CancelFunc
	revision uint64
	pods     []*proxyPod
	stops    []func()
}

// proxyPod is a namespace with a server at port 8080.
type proxyPod struct {
	ns            *netNamespace
	name, address string
}

// open connects, also again after a crash.
func (w *proxyWorld) open() error {
	conn, err := w.target.Conn(w)
	if err != nil {
		return err
	}
	if w.hangUp != nil {
		w.hangUp()
	}
	w.client = proxy.NewClient(conn)
	var ctx context.Context
	ctx, w.hangUp = context.WithCancel(w.Context)
	w.stream, err = w.client.Sync(ctx)
	return err
}

// clean leaves the plugin without services, even where the check's time is over.
func (w *proxyWorld) clean() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.Context), time.Minute)
	defer cancel()
	w.Context = ctx
	for _, stop := range w.stops {
		stop()
	}
	err := w.open()
	if err == nil {
		_, err = w.full()
		w.hangUp()
	}
	for _, p := range w.pods {
		err = errors.Join(err, p.ns.remove())
	}
	return err
}

// sync sends a request and waits until it is acknowledged.
func (w *proxyWorld) sync(req *proxy.SyncRequest) (map[string]string, error) {
	w.revision++
	req.Revision = w.revision
	if err := w.stream.Send(req); err != nil {
		return nil, fmt.Errorf("Sync: %w", err)
	}
	for {
		resp, err := w.stream.Recv()
		if err != nil {
			return nil, fmt.Errorf("Sync: %w", err)
		}
		if resp.GetRevision() >= w.revision {
			return resp.GetErrors(), nil
		}
	}
}

func (w *proxyWorld) full(services ...*proxy.Service) (map[string]string, error) {
	return w.sync(&proxy.SyncRequest{Full: true, Set: services})
}

// must makes services the whole state, all of them in force.
func (w *proxyWorld) must(services ...*proxy.Service) error {
	failed, err := w.full(services...)
	if err == nil && len(failed) > 0 {
		err = fmt.Errorf("Sync answers with errors: %v", failed)
	}
	return err
}

// addressIn returns an address of a range.
func addressIn(cidr string, n int) string {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return ""
	}
	a := prefix.Masked().Addr()
	for range n {
		a = a.Next()
	}
	return a.String()
}

// pod makes one on this node.
func (w *proxyWorld) pod() (*proxyPod, error) {
	dir, err := w.target.Dir()
	if err != nil {
		return nil, err
	}
	ns, err := newNetNamespace(filepath.Join(dir, "ns"))
	if err != nil {
		return nil, err
	}
	n := len(w.pods)
	p := &proxyPod{ns: ns, name: fmt.Sprintf("pod%d", n), address: addressIn(w.target.site.node.GetPodCidrs()[0], n+2)}
	w.pods = append(w.pods, p)
	// A point-to-point link; its other end goes with the namespace, maybe a
	// moment later, so that its name must not be used again.
	link := fmt.Sprintf("pcf%d", time.Now().UnixNano()%1e11)
	const gateway = "169.254.1.1"
	err = errors.Join(
		ip("link add %s type veth peer name eth0 netns %s", link, ns.path),
		ip("addr add %s/32 dev %s", gateway, link),
		ip("link set %s up", link),
		ns.do(func() error {
			return errors.Join(
				ip("addr add %s/32 dev eth0", p.address),
				ip("link set eth0 up"),
				ip("route add %s dev eth0 scope link", gateway),
				ip("route add default via %s", gateway),
			)
		}),
		ip("route replace %s/32 dev %s", p.address, link),
		// To a pod that reaches itself by its service the node would say that
		// there is a shorter way, and then, by the kernel's limit for ICMP to
		// one address, no more about ports that nobody has.
		os.WriteFile("/proc/sys/net/ipv4/conf/all/send_redirects", []byte("0"), 0),
		os.WriteFile("/proc/sys/net/ipv4/conf/"+link+"/send_redirects", []byte("0"), 0),
	)
	if err != nil {
		return nil, err
	}
	stop, err := serveNames(ns, p.address+":8080", p.name)
	if err == nil {
		w.stops = append(w.stops, stop)
	}
	return p, err
}

func (w *proxyWorld) twoPods() (a, b *proxyPod, err error) {
	if a, err = w.pod(); err == nil {
		b, err = w.pod()
	}
	return a, b, err
}

// endpoint is a pod as a ready endpoint on this node.
func (p *proxyPod) endpoint() *proxy.Endpoint {
	return &proxy.Endpoint{Address: p.address, Port: 8080, Ready: true, Local: true}
}

// service number n has port 80, TCP and UDP.
func (w *proxyWorld) service(n int, endpoints ...*proxy.Endpoint) *proxy.Service {
	s := &proxy.Service{
		Namespace: "default", Name: fmt.Sprintf("service%d", n),
		ClusterIps:            []string{addressIn(w.target.site.node.GetServiceCidrs()[0], 10+n)},
		InternalTrafficPolicy: pluginv1.TrafficPolicy_TRAFFIC_POLICY_CLUSTER, ExternalTrafficPolicy: pluginv1.TrafficPolicy_TRAFFIC_POLICY_CLUSTER,
	}
	for _, protocol := range []string{"TCP", "UDP"} {
		s.Ports = append(s.Ports, &proxy.Port{Name: protocol, Protocol: protocol, Port: 80, Endpoints: endpoints})
	}
	return s
}

func frontend(s *proxy.Service) string { return s.GetClusterIps()[0] + ":80" }

// enoughTries is how often a fair choice between two is tried: both are seen
// but for one run in a hundred million.
const enoughTries = 28

// answers asks until every one of the pods answered, and fails where another
// does, or where the client is not seen at its address; that is not looked at
// where it is empty.
func answers(from *netNamespace, network, address, client string, pods ...*proxyPod) error {
	seen := map[string]bool{}
	for range enoughTries {
		a, err := ask(from, network, address)
		if err != nil {
			return fmt.Errorf("%s %s: %w", network, address, err)
		}
		if !slices.ContainsFunc(pods, func(p *proxyPod) bool { return p.name == a.server }) {
			return fmt.Errorf("%s %s is answered by %s", network, address, a.server)
		}
		if client != "" && a.client != client {
			return fmt.Errorf("%s %s is asked by %s and sees %s", network, address, client, a.client)
		}
		if seen[a.server] = true; len(seen) == len(pods) && len(pods) > 1 {
			return nil
		}
	}
	if len(seen) != len(pods) {
		return fmt.Errorf("%s %s: of %d endpoints %d answer", network, address, len(pods), len(seen))
	}
	return nil
}

func checkSyncFirst(w *proxyWorld) error {
	if err := w.stream.Send(&proxy.SyncRequest{Revision: 1}); err != nil {
		return err
	}
	_, err := w.stream.Recv()
	return mustBe(err, errs.ClassInvalidArgument, "a Sync that begins with a change")
}

func checkSyncRevision(w *proxyWorld) error {
	if err := w.must(); err != nil {
		return err
	}
	if _, err := w.sync(&proxy.SyncRequest{}); err != nil {
		return err
	}
	// Sent at once, acknowledged at the latest by the last.
	for range 5 {
		w.revision++
		if err := w.stream.Send(&proxy.SyncRequest{Revision: w.revision, Set: []*proxy.Service{w.service(0)}}); err != nil {
			return err
		}
	}
	last := uint64(0)
	for last < w.revision {
		resp, err := w.stream.Recv()
		if err != nil {
			return err
		}
		if resp.GetRevision() <= last {
			return fmt.Errorf("revision %d is acknowledged after %d", resp.GetRevision(), last)
		}
		last = resp.GetRevision()
	}
	return nil
}

func checkSyncErrors(w *proxyWorld) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	good := w.service(0, p.endpoint())
	bad := []*proxy.Service{w.service(1, p.endpoint()), w.service(2, p.endpoint()), w.service(3, &proxy.Endpoint{Address: "no address", Port: 80, Ready: true}), w.service(4, p.endpoint())}
	bad[0].Ports[0].Protocol = "ICMP"
	bad[1].Ports[0].Port = 70000
	bad[3].ClusterIps = []string{"nonsense -j ACCEPT"}
	// IPv6 is not served by every proxy, and fails in none.
	six := w.service(5, p.endpoint(), &proxy.Endpoint{Address: "2001:db8::1", Port: 8080, Ready: true})
	six.ClusterIps = append(six.ClusterIps, "2001:db8:1::1")
	failed, err := w.full(append(bad, good, six)...)
	if err != nil {
		return err
	}
	for _, s := range bad {
		if failed["default/"+s.GetName()] == "" {
			return fmt.Errorf("there is no error for %v", s)
		}
	}
	for _, s := range []*proxy.Service{good, six} {
		if why := failed["default/"+s.GetName()]; why != "" {
			return fmt.Errorf("there is an error for %v: %s", s, why)
		}
		if err := answers(nil, "tcp", frontend(s), "", p); err != nil {
			return err
		}
	}
	return nil
}

func checkSyncRemoved(w *proxyWorld) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	a, b := w.service(0, p.endpoint()), w.service(1, p.endpoint())
	if err := w.must(a, b); err != nil {
		return err
	}
	if _, err := w.sync(&proxy.SyncRequest{Removed: []string{"default/" + a.GetName()}}); err != nil {
		return err
	}
	if err := errors.Join(refused(p.ns, "tcp", frontend(a)), answers(p.ns, "tcp", frontend(b), "", p)); err != nil {
		return err
	}
	if err := w.must(); err != nil {
		return err
	}
	return refused(p.ns, "tcp", frontend(b))
}

func checkClusterIP(w *proxyWorld) error {
	a, b, err := w.twoPods()
	if err != nil {
		return err
	}
	client, err := w.pod()
	if err != nil {
		return err
	}
	s := w.service(0, a.endpoint(), b.endpoint())
	if err := w.must(s); err != nil {
		return err
	}
	for _, network := range []string{"tcp", "udp"} {
		if err := answers(client.ns, network, frontend(s), client.address, a, b); err != nil {
			return fmt.Errorf("from a pod: %w", err)
		}
		if err := answers(nil, network, frontend(s), "", a, b); err != nil {
			return fmt.Errorf("from the node: %w", err)
		}
	}
	// One endpoint less.
	if _, err := w.sync(&proxy.SyncRequest{Set: []*proxy.Service{w.service(0, b.endpoint())}}); err != nil {
		return err
	}
	return answers(client.ns, "tcp", frontend(s), client.address, b)
}

func checkProxyReject(w *proxyWorld) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	empty, served := w.service(0), w.service(1, p.endpoint())
	if err := w.must(empty, served); err != nil {
		return err
	}
	for _, from := range []*netNamespace{nil, p.ns, w.target.site.outside} {
		for _, address := range []string{
			frontend(empty), served.GetClusterIps()[0] + ":81",
			addressIn(w.target.site.node.GetServiceCidrs()[0], 200) + ":80",
		} {
			for _, network := range []string{"tcp", "udp"} {
				if err := refused(from, network, address); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func checkHairpin(w *proxyWorld) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	s := w.service(0, p.endpoint())
	if err := w.must(s); err != nil {
		return err
	}
	return errors.Join(answers(p.ns, "tcp", frontend(s), "", p), answers(p.ns, "udp", frontend(s), "", p))
}

func checkProxyTerminating(w *proxyWorld) error {
	ready, ending, err := w.twoPods()
	if err != nil {
		return err
	}
	last := ending.endpoint()
	last.Ready, last.ServingTerminating = false, true
	s := w.service(0, ready.endpoint(), last)
	if err := w.must(s); err != nil {
		return err
	}
	if err := answers(nil, "tcp", frontend(s), "", ready); err != nil {
		return err
	}
	if err := w.must(w.service(0, last)); err != nil {
		return err
	}
	return answers(nil, "tcp", frontend(s), "", ending)
}

func checkStaleUDP(w *proxyWorld) error {
	old, next, err := w.twoPods()
	if err != nil {
		return err
	}
	client, err := w.pod()
	if err != nil {
		return err
	}
	s := w.service(0, old.endpoint())
	if err := w.must(s); err != nil {
		return err
	}
	var conn net.Conn
	err = client.ns.do(func() error {
		conn, err = net.Dial("udp", frontend(s))
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	if a, err := askOn(conn, answerTimeout); err != nil || a.server != old.name {
		return fmt.Errorf("answered by %q, %w", a.server, err)
	}
	if _, err := w.sync(&proxy.SyncRequest{Set: []*proxy.Service{w.service(0, next.endpoint())}}); err != nil {
		return err
	}
	a, err := askOn(conn, answerTimeout)
	if err != nil {
		return fmt.Errorf("the same client after the endpoint changed: %w", err)
	}
	if a.server != next.name {
		return fmt.Errorf("the same client after the endpoint changed is answered by the old one")
	}
	return nil
}

func checkAffinity(w *proxyWorld) error {
	a, b, err := w.twoPods()
	if err != nil {
		return err
	}
	client, err := w.pod()
	if err != nil {
		return err
	}
	s := w.service(0, a.endpoint(), b.endpoint())
	s.AffinitySeconds = 600
	if err := w.must(s); err != nil {
		return err
	}
	for _, from := range []*proxyPod{a, b, client} {
		first, err := ask(from.ns, "tcp", frontend(s))
		if err != nil {
			return err
		}
		for range enoughTries {
			next, err := ask(from.ns, "tcp", frontend(s))
			if err != nil {
				return err
			}
			if next.server != first.server {
				return fmt.Errorf("%s was answered by %s and then by %s", from.name, first.server, next.server)
			}
		}
	}
	return nil
}

const proxyNodePort = 30080

// exposed is a service with a node port and addresses outside the cluster's
// ranges.
func (w *proxyWorld) exposed(endpoints ...*proxy.Endpoint) (s *proxy.Service, addresses []string) {
	s = w.service(0, endpoints...)
	for _, p := range s.GetPorts() {
		p.NodePort = proxyNodePort
	}
	// Of the range that RFC 5737 keeps for documentation.
	s.ExternalIps, s.LoadBalancerIps = []string{"198.51.100.10"}, []string{"198.51.100.11"}
	return s, []string{
		fmt.Sprintf("%s:%d", w.target.site.node.GetAddresses()[0], proxyNodePort),
		"198.51.100.10:80", "198.51.100.11:80",
	}
}

func checkNodePort(w *proxyWorld) error {
	a, b, err := w.twoPods()
	if err != nil {
		return err
	}
	s, addresses := w.exposed(a.endpoint(), b.endpoint())
	if err := w.must(s); err != nil {
		return err
	}
	for _, address := range addresses {
		for _, network := range []string{"tcp", "udp"} {
			if err := answers(w.target.site.outside, network, address, "", a, b); err != nil {
				return err
			}
		}
	}
	s, _ = w.exposed()
	if err := w.must(s); err != nil {
		return err
	}
	for _, address := range addresses {
		if err := refused(w.target.site.outside, "tcp", address); err != nil {
			return fmt.Errorf("without an endpoint: %w", err)
		}
	}
	return nil
}

// otherNode is the pod as an endpoint of another node.
func (p *proxyPod) otherNode() *proxy.Endpoint {
	e := p.endpoint()
	e.Local = false
	return e
}

func checkInternalPolicy(w *proxyWorld) error {
	here, there, err := w.twoPods()
	if err != nil {
		return err
	}
	s, addresses := w.exposed(here.endpoint(), there.otherNode())
	s.InternalTrafficPolicy = pluginv1.TrafficPolicy_TRAFFIC_POLICY_LOCAL
	if err := w.must(s); err != nil {
		return err
	}
	if err := errors.Join(
		answers(there.ns, "tcp", frontend(s), "", here),
		answers(w.target.site.outside, "tcp", addresses[0], "", here, there),
	); err != nil {
		return err
	}
	s, _ = w.exposed(there.otherNode())
	s.InternalTrafficPolicy = pluginv1.TrafficPolicy_TRAFFIC_POLICY_LOCAL
	if err := w.must(s); err != nil {
		return err
	}
	return errors.Join(
		refused(here.ns, "tcp", frontend(s)),
		answers(w.target.site.outside, "tcp", addresses[0], "", there),
	)
}

func checkExternalPolicy(w *proxyWorld) error {
	here, there, err := w.twoPods()
	if err != nil {
		return err
	}
	s, addresses := w.exposed(here.endpoint(), there.otherNode())
	s.ExternalTrafficPolicy = pluginv1.TrafficPolicy_TRAFFIC_POLICY_LOCAL
	if err := w.must(s); err != nil {
		return err
	}
	outside := w.target.site.outside
	for _, address := range addresses {
		if err := errors.Join(
			answers(outside, "tcp", address, w.target.site.outsideAddress, here),
			answers(here.ns, "tcp", address, "", here, there),
		); err != nil {
			return err
		}
	}
	s, _ = w.exposed(there.otherNode())
	s.ExternalTrafficPolicy = pluginv1.TrafficPolicy_TRAFFIC_POLICY_LOCAL
	if err := w.must(s); err != nil {
		return err
	}
	for _, address := range addresses {
		if err := errors.Join(
			refused(outside, "tcp", address),
			answers(here.ns, "tcp", address, "", there),
			answers(here.ns, "tcp", frontend(s), "", there),
		); err != nil {
			return fmt.Errorf("without an endpoint on this node: %w", err)
		}
	}
	return nil
}

func checkProxyRestart(w *proxyWorld) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	s, changed := w.service(0, p.endpoint()), w.service(1, p.endpoint())
	if err := w.must(s, changed); err != nil {
		return err
	}
	// A client asks all the time.
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				failed <- nil
				return
			default:
			}
			if _, err := ask(p.ns, "tcp", frontend(s)); err != nil {
				failed <- fmt.Errorf("while the plugin changes: %w", err)
				return
			}
		}
	}()
	err = w.target.Crash(w)
	if err == nil {
		err = answers(nil, "tcp", frontend(s), "", p)
	}
	if err == nil {
		err = w.open()
	}
	if err == nil {
		err = w.must(s)
	}
	close(stop)
	if err := errors.Join(err, <-failed); err != nil {
		return err
	}
	return refused(p.ns, "tcp", frontend(changed))
}

func checkProxyLeave(w *proxyWorld) error {
	p, err := w.pod()
	if err != nil {
		return err
	}
	s, addresses := w.exposed(p.endpoint())
	if err := w.must(s); err != nil {
		return err
	}
	for range 2 {
		if err := w.client.Leave(w); err != nil {
			return fmt.Errorf("Leave: %w", err)
		}
	}
	if _, err := ask(w.target.site.outside, "tcp", addresses[0]); err == nil {
		return errors.New("after Leave the node port is still answered")
	}
	// A process that left is not configured any more.
	if err := w.target.Crash(w); err != nil {
		return err
	}
	if err := w.open(); err != nil {
		return err
	}
	if err := w.must(s); err != nil {
		return err
	}
	return answers(p.ns, "tcp", frontend(s), "", p)
}
