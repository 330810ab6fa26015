package apiserver

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/proxy"

	"github.com/pintle-io/pintle/core/api"
)

// proxyName splits the name in a proxy path: [scheme:]name[:port].
func (c *call) proxyName() (scheme, name, port string, err error) {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(c.info.Name)
	if !ok {
		return "", "", "", apierrors.NewBadRequest(fmt.Sprintf("invalid proxy name %q: it must be name, name:port or scheme:name:port", c.info.Name))
	}
	if scheme == "" {
		scheme = "http"
	}
	return scheme, name, port, nil
}

// podProxy passes a request on to a port of a pod.
func (c *call) podProxy() error {
	scheme, name, port, err := c.proxyName()
	if err != nil {
		return err
	}
	pod, err := c.streamedPod(name)
	if err != nil {
		return err
	}
	if port == "" {
		for i := range pod.Spec.Containers {
			if ports := pod.Spec.Containers[i].Ports; len(ports) > 0 {
				port = strconv.Itoa(int(ports[0].ContainerPort))
				break
			}
		}
	}
	ip := pod.Status.PodIP
	if err := proxyable(ip); err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("pod %s can't be reached: %v", name, err))
	}
	host := ip
	if port != "" {
		host = net.JoinHostPort(ip, port)
	} else if strings.Contains(ip, ":") {
		host = "[" + ip + "]"
	}
	return c.proxyTo(&url.URL{Scheme: scheme, Host: host}, c.s.nodes.plain)
}

// serviceProxy passes a request on to a ready endpoint of a service.
func (c *call) serviceProxy() error {
	scheme, name, port, err := c.proxyName()
	if err != nil {
		return err
	}
	address, err := c.serviceEndpoint(name, port)
	if err != nil {
		return err
	}
	return c.proxyTo(&url.URL{Scheme: scheme, Host: address}, c.s.nodes.plain)
}

// serviceEndpoint picks one of a service's ready endpoints at random.
func (c *call) serviceEndpoint(name, port string) (string, error) {
	ctx := c.asServer()
	obj, err := c.s.api.Get(ctx, api.Target{
		Resource: schema.GroupResource{Resource: "services"}, Namespace: c.info.Namespace, Name: name,
	}, api.GetOptions{})
	if err != nil {
		return "", err
	}
	service, ok := obj.(*corev1.Service)
	if !ok {
		return "", fmt.Errorf("read service %s/%s: got %T", c.info.Namespace, name, obj)
	}
	portName, ok := servicePort(service, port)
	if !ok {
		return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %q found for service %q", port, name))
	}
	list, err := c.s.api.List(ctx, api.Target{
		Resource: schema.GroupResource{Group: discoveryv1.GroupName, Resource: "endpointslices"}, Namespace: c.info.Namespace,
	}, api.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name})
	if err != nil {
		return "", err
	}
	var candidates []string
	for _, item := range list.Items {
		slice, ok := item.(*discoveryv1.EndpointSlice)
		if !ok {
			return "", fmt.Errorf("list endpoint slices of %s/%s: got %T", c.info.Namespace, name, item)
		}
		candidates = append(candidates, readyAddresses(slice, portName)...)
	}
	if len(candidates) == 0 {
		return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", name))
	}
	return candidates[rand.IntN(len(candidates))], nil
}

// servicePort finds the name of the port that a path means by name or number;
// without one a service's only port.
func servicePort(service *corev1.Service, port string) (name string, ok bool) {
	if port == "" {
		if len(service.Spec.Ports) == 1 {
			return service.Spec.Ports[0].Name, true
		}
		return "", false
	}
	for _, p := range service.Spec.Ports {
		if p.Name == port || strconv.Itoa(int(p.Port)) == port {
			return p.Name, true
		}
	}
	return "", false
}

func readyAddresses(slice *discoveryv1.EndpointSlice, portName string) []string {
	var addresses []string
	for _, p := range slice.Ports {
		name := ""
		if p.Name != nil {
			name = *p.Name
		}
		if name != portName || p.Port == nil {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}
			for _, a := range e.Addresses {
				if proxyable(a) == nil {
					addresses = append(addresses, net.JoinHostPort(a, strconv.Itoa(int(*p.Port))))
				}
			}
		}
	}
	return addresses
}

// nodeProxy passes a request on to a node's agent, or to another port of the
// node where the name carries one.
func (c *call) nodeProxy() error {
	scheme, name, port, err := c.proxyName()
	if err != nil {
		return err
	}
	address, err := c.s.nodes.address(c.asServer(), name)
	if err != nil {
		return err
	}
	host, agentPort, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("read the address of node %s: %w", name, err)
	}
	if port == "" || port == agentPort {
		return c.proxyTo(&url.URL{Scheme: "https", Host: address}, c.s.nodes.transport)
	}
	// Not the agent: the server's certificate is not for it.
	if err := proxyable(host); err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("node %s can't be reached: %v", name, err))
	}
	return c.proxyTo(&url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port)}, c.s.nodes.plain)
}

// proxyable refuses addresses that mean the server's own machine, which a pod
// could name in its status.
func proxyable(address string) error {
	ip, err := netip.ParseAddr(address)
	switch {
	case address == "":
		return fmt.Errorf("it has no address yet")
	case err != nil:
		return fmt.Errorf("%q is no IP address", address)
	}
	ip = ip.Unmap()
	if ip.IsLoopback() || ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() || ip.IsInterfaceLocalMulticast() {
		return fmt.Errorf("the address %s is not allowed", ip)
	}
	return nil
}

// proxyTo passes the request on with the path behind "proxy".
func (c *call) proxyTo(location *url.URL, transport http.RoundTripper) error {
	location.Path = "/" + c.info.Rest
	if !c.info.HasRest {
		location.Path = ""
	}
	location.RawQuery = c.r.URL.RawQuery
	h := proxy.NewUpgradeAwareHandler(location, transport, true, false, &responder{c})
	c.serveUpgrade(h)
	return nil
}
