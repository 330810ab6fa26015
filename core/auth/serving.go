package auth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Serving is a server's certificate, which is made anew when its hosts change
// or its end is near. It is safe for concurrent use.
type Serving struct {
	authority *Authority
	name      string
	hosts     []string

	mu   sync.Mutex
	cert tls.Certificate
}

// Serving returns the certificate of a server of this machine, kept in
// <name>.crt and <name>.key beside the authority. hosts are the names and
// addresses by which clients reach it.
func (a *Authority) Serving(name string, hosts []string) (*Serving, error) {
	s := &Serving{authority: a, name: name, hosts: normalHosts(hosts)}
	cert, err := s.load()
	if err != nil || !s.fits(cert.Leaf, time.Now()) {
		cert, err = s.issue()
	}
	s.cert = cert
	return s, err
}

// TLS is the configuration of a server that shows this certificate and knows
// its clients by theirs. A client without one is let in as nobody.
func (s *Serving) TLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.current() },
		ClientAuth:     tls.VerifyClientCertIfGiven,
		ClientCAs:      s.authority.Pool(),
		NextProtos:     []string{"h2", "http/1.1"},
	}
}

// current is the certificate, renewed where that is due.
func (s *Serving) current() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if dueForRenewal(s.cert.Leaf, time.Now()) {
		cert, err := s.issue()
		if err != nil {
			return nil, err
		}
		s.cert = cert
	}
	cert := s.cert
	return &cert, nil
}

func (s *Serving) paths() (cert, key string) {
	base := filepath.Join(s.authority.dir, s.name)
	return base + ".crt", base + ".key"
}

func (s *Serving) load() (tls.Certificate, error) {
	certFile, keyFile := s.paths()
	cert, certErr := os.ReadFile(certFile)
	key, keyErr := os.ReadFile(keyFile)
	if err := errors.Join(certErr, keyErr); err != nil {
		return tls.Certificate{}, err
	}
	return KeyPair{Cert: cert, Key: key}.TLS()
}

// fits tells whether a certificate is of this authority, for these hosts, and
// good for a while.
func (s *Serving) fits(cert *x509.Certificate, now time.Time) bool {
	if cert == nil || dueForRenewal(cert, now) || cert.CheckSignatureFrom(s.authority.cert) != nil {
		return false
	}
	return slices.Equal(certificateHosts(cert), s.hosts)
}

func (s *Serving) issue() (tls.Certificate, error) {
	pair, err := s.authority.IssueServing(s.name, s.hosts)
	if err != nil {
		return tls.Certificate{}, err
	}
	certFile, keyFile := s.paths()
	if err := errors.Join(writeSecret(keyFile, pair.Key), writeSecret(certFile, pair.Cert)); err != nil {
		return tls.Certificate{}, fmt.Errorf("keeping the certificate of %s: %w", s.name, err)
	}
	return pair.TLS()
}

// certificateHosts are the hosts of a certificate in the form of normalHosts.
func certificateHosts(cert *x509.Certificate) []string {
	hosts := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return normalHosts(hosts)
}

func normalHosts(hosts []string) []string {
	list := make([]string, 0, len(hosts))
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			h = ip.String()
		}
		if h != "" {
			list = append(list, h)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// UserFromTLS returns the user that a connection's client certificate shows.
// The certificate was verified by the handshake. ok is false where there is
// none.
func UserFromTLS(state *tls.ConnectionState) (u User, ok bool) {
	if state == nil || len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return User{}, false
	}
	subject := state.PeerCertificates[0].Subject
	if subject.CommonName == "" {
		return User{}, false
	}
	return User{Name: subject.CommonName, Groups: append(slices.Clone(subject.Organization), GroupAuthenticated)}, true
}
