package auth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
)

// JoinPath is where the API server takes a JoinRequest by POST, as JSON.
const JoinPath = "/pintle.io/join"

// maxNodeHosts bounds the names and addresses in a node's serving certificate.
const maxNodeHosts = 32

// JoinRequest asks for the certificates of a node.
type JoinRequest struct {
	// Token as text; empty where a node renews with its present certificate.
	Token    string `json:"token,omitempty"`
	NodeName string `json:"nodeName"`
	// ClientRequest and ServingRequest are certificate requests in PEM. Of the
	// first one only the key counts; the second one names the hosts by which the
	// node's agent is reached.
	ClientRequest  []byte `json:"clientRequest"`
	ServingRequest []byte `json:"servingRequest"`
}

// JoinResponse carries the certificates in PEM.
type JoinResponse struct {
	ClientCertificate  []byte `json:"clientCertificate"`
	ServingCertificate []byte `json:"servingCertificate"`
	Authority          []byte `json:"authority"`
}

// Joiner lets machines become nodes.
type Joiner struct {
	Authority *Authority
	// Secrets reads the Secrets of tokens, as the server itself.
	Secrets SecretReader
	// ServerHosts are the names and addresses of the API server, which no node
	// gets a certificate for.
	ServerHosts []string
}

// Join checks who asks and signs. The user is the one of the connection. Its
// errors are *apierrors.StatusError.
func (j *Joiner) Join(ctx context.Context, user User, req *JoinRequest) (*JoinResponse, error) {
	if errs := validation.IsDNS1123Subdomain(req.NodeName); len(errs) > 0 {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("nodeName %q is not valid: %s", req.NodeName, errs[0]))
	}
	if err := j.admit(ctx, user, req); err != nil {
		return nil, err
	}
	client, err := parseRequest(req.ClientRequest)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("clientRequest is no certificate request: %v", err))
	}
	serving, err := parseRequest(req.ServingRequest)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("servingRequest is no certificate request: %v", err))
	}
	hosts, err := j.nodeHosts(serving)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("servingRequest: %v", err))
	}
	resp := &JoinResponse{Authority: j.Authority.CertificatePEM()}
	if resp.ClientCertificate, err = j.Authority.signClient(Node(req.NodeName), client.PublicKey); err == nil {
		resp.ServingCertificate, err = j.Authority.signServing(Node(req.NodeName).Name, hosts, serving.PublicKey)
	}
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return resp, nil
}

// admit lets in a node that renews its own certificates, and who has a token.
func (j *Joiner) admit(ctx context.Context, user User, req *JoinRequest) error {
	if req.Token == "" {
		node, ok := user.NodeName()
		switch {
		case !ok:
			return apierrors.NewUnauthorized("a token is required")
		case node != req.NodeName:
			return apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, req.NodeName,
				fmt.Errorf("node %q may renew its own certificates only", node))
		}
		return nil
	}
	t, err := ParseToken(req.Token)
	if err != nil {
		return apierrors.NewUnauthorized(err.Error())
	}
	secret, err := j.Secrets(ctx, TokenNamespace, tokenSecretPrefix+t.ID)
	switch {
	case apierrors.IsNotFound(err):
		return apierrors.NewUnauthorized(errToken.Error())
	case err != nil:
		return apierrors.NewInternalError(fmt.Errorf("reading the token: %w", err))
	}
	if err := verifyToken(secret, t, time.Now()); err != nil {
		return apierrors.NewUnauthorized(err.Error())
	}
	return nil
}

// nodeHosts are the hosts that a node may be served under: not those of the
// API server, whose place it could take with them.
func (j *Joiner) nodeHosts(req *x509.CertificateRequest) ([]string, error) {
	hosts := slices.Clone(req.DNSNames)
	for _, ip := range req.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	hosts = normalHosts(hosts)
	if len(hosts) == 0 {
		return nil, errors.New("it names no host by which the node is reached")
	}
	if len(hosts) > maxNodeHosts {
		return nil, fmt.Errorf("it names %d hosts and the limit is %d", len(hosts), maxNodeHosts)
	}
	for _, h := range hosts {
		if slices.Contains(normalHosts(j.ServerHosts), h) && !loopback(h) {
			return nil, fmt.Errorf("%s is a host of the API server", h)
		}
		if net.ParseIP(h) == nil && len(validation.IsDNS1123Subdomain(h)) > 0 {
			return nil, fmt.Errorf("%q is neither a name nor an address", h)
		}
	}
	return hosts, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
