package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/api"
)

// nodeClient reaches the agents of nodes. They serve the kubelet's paths over
// TLS and know this server by its certificate.
type nodeClient struct {
	api       *api.Service
	transport *http.Transport
	// plain reaches ports of pods and nodes that are not an agent's. It shows no
	// certificate, and as in Kubernetes does not check theirs, which are signed
	// by nobody that the server knows.
	plain *http.Transport
	// missing says why no agent can be reached; nil where one can.
	missing error
}

func newNodeClient(s *Server) *nodeClient {
	n := &nodeClient{api: s.api}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.opts.NodeCAs}
	if s.opts.NodeClient == nil || s.opts.NodeCAs == nil {
		n.missing = errors.New("the server was started without a certificate for node agents")
	} else {
		config.Certificates = []tls.Certificate{*s.opts.NodeClient}
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	n.transport = newTransport(dialer, config)
	n.plain = newTransport(dialer, &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true})
	return n
}

func newTransport(dialer *net.Dialer, config *tls.Config) *http.Transport {
	return &http.Transport{
		DialContext:           dialer.DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   4,
		DisableCompression:    true,
		// Streams are upgraded connections, which HTTP/2 has none of.
		ForceAttemptHTTP2: false,
	}
}

func (n *nodeClient) close() {
	n.transport.CloseIdleConnections()
	n.plain.CloseIdleConnections()
}

// location is a URL of the agent of a node. pod, where there is one, is what
// the error speaks of.
func (n *nodeClient) location(ctx context.Context, node, pod, path string, params url.Values) (*url.URL, error) {
	if node == "" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", pod))
	}
	address, err := n.address(ctx, node)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse("https://" + address + path)
	if err != nil {
		return nil, fmt.Errorf("make the address of node %s: %w", node, err)
	}
	u.RawQuery = params.Encode()
	return u, nil
}

// address is host:port of the agent of a node, as its status says.
func (n *nodeClient) address(ctx context.Context, name string) (string, error) {
	if n.missing != nil {
		return "", apierrors.NewServiceUnavailable(fmt.Sprintf("reach the agent of node %s: %v", name, n.missing))
	}
	obj, err := n.api.Get(ctx, api.Target{Resource: schema.GroupResource{Resource: "nodes"}, Name: name}, api.GetOptions{})
	if err != nil {
		return "", err
	}
	node, ok := obj.(*corev1.Node)
	if !ok {
		return "", fmt.Errorf("read node %s: got %T", name, obj)
	}
	port := node.Status.DaemonEndpoints.KubeletEndpoint.Port
	host := nodeHost(node)
	if host == "" || port == 0 {
		return "", apierrors.NewServiceUnavailable(fmt.Sprintf(
			"node %s has not said where its agent listens: its status has no address or no daemonEndpoints.kubeletEndpoint.port", name))
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port))), nil
}

// nodeHost prefers addresses in the order in which they are likely to be
// reachable from here.
func nodeHost(node *corev1.Node) string {
	for _, kind := range []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP, corev1.NodeHostName} {
		for _, a := range node.Status.Addresses {
			if a.Type == kind && a.Address != "" {
				return a.Address
			}
		}
	}
	return ""
}
