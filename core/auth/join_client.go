package auth

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	joinTimeout     = 30 * time.Second
	maxJoinResponse = 1 << 20
)

// Join makes this machine a node: it checks by the token that the server is
// the right one, before it says the token, and gets the node's certificates.
// hosts are the names and addresses by which the node's agent will be reached.
func Join(ctx context.Context, server, token, nodeName string, hosts []string) (*NodeIdentity, error) {
	t, err := ParseToken(token)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the server %q is not of the form https://host:port", server)
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS12,
		ServerName: u.Hostname(),
		// The authority is not known yet, but its fingerprint is.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			return verifyFingerprint(state, u.Hostname(), t.Fingerprint)
		},
	}
	id, err := requestIdentity(ctx, u, config, nodeName, hosts, t.String())
	if err != nil {
		return nil, fmt.Errorf("joining %s as node %s: %w", server, nodeName, err)
	}
	return id, nil
}

// Renew gets new certificates for a node that has its identity already.
func (n *NodeIdentity) Renew(ctx context.Context, server, nodeName string, hosts []string) (*NodeIdentity, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("renewing the certificates of node %s: %w", nodeName, err)
	}
	cert, err := n.Client.TLS()
	if err != nil {
		return nil, fmt.Errorf("renewing the certificates of node %s: %w", nodeName, err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(n.Authority)
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: []tls.Certificate{cert}}
	id, err := requestIdentity(ctx, u, config, nodeName, hosts, "")
	if err != nil {
		return nil, fmt.Errorf("renewing the certificates of node %s: %w", nodeName, err)
	}
	return id, nil
}

// verifyFingerprint checks that the chain which a server shows ends in the
// authority with the fingerprint, and that its certificate is for the host.
func verifyFingerprint(state tls.ConnectionState, host, want string) error {
	roots := x509.NewCertPool()
	found := false
	for _, cert := range state.PeerCertificates[1:] {
		if cert.IsCA && fingerprint(cert) == want {
			roots.AddCert(cert)
			found = true
		}
	}
	if !found {
		return fmt.Errorf("the server is not the one that the token is for: its authority does not have the fingerprint %s", want)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: host})
	return err
}

func requestIdentity(ctx context.Context, u *url.URL, config *tls.Config, nodeName string, hosts []string, token string) (*NodeIdentity, error) {
	clientKey, clientPEM, err := newKey()
	if err != nil {
		return nil, err
	}
	servingKey, servingPEM, err := newKey()
	if err != nil {
		return nil, err
	}
	req := &JoinRequest{Token: token, NodeName: nodeName}
	if req.ClientRequest, err = newRequest(clientKey, Node(nodeName), nil); err != nil {
		return nil, err
	}
	if req.ServingRequest, err = newRequest(servingKey, Node(nodeName), hosts); err != nil {
		return nil, err
	}
	resp, err := post(ctx, u.JoinPath(JoinPath).String(), config, req)
	if err != nil {
		return nil, err
	}
	id := &NodeIdentity{
		Authority: resp.Authority,
		Client:    KeyPair{Cert: resp.ClientCertificate, Key: clientPEM},
		Serving:   KeyPair{Cert: resp.ServingCertificate, Key: servingPEM},
	}
	return id, id.check(nodeName)
}

func newRequest(key *ecdsa.PrivateKey, u User, hosts []string) ([]byte, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: u.Name, Organization: []string{GroupNodes}}}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemRequest, Bytes: der}), nil
}

func post(ctx context.Context, address string, config *tls.Config, req *JoinRequest) (*JoinResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	body, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxJoinResponse))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusCreated {
		var status metav1.Status
		if json.Unmarshal(data, &status) == nil && status.Message != "" {
			return nil, errors.New(status.Message)
		}
		return nil, fmt.Errorf("the server answered %s", answer.Status)
	}
	resp := &JoinResponse{}
	if err := json.Unmarshal(data, resp); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return resp, nil
}
