package auth

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// NodeIdentity is what a machine needs to be a node: whom to trust, its
// client certificate for the API server and the serving certificate of its
// agent.
type NodeIdentity struct {
	// Authority in PEM.
	Authority       []byte
	Client, Serving KeyPair
}

const identityFile = "identity.json"

// Save keeps the identity in a directory, in one file that only its owner can
// read, so that keys and certificates never part.
func (n *NodeIdentity) Save(dir string) error {
	data, err := json.Marshal(n)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = writeSecret(filepath.Join(dir, identityFile), data)
	}
	if err != nil {
		return fmt.Errorf("keeping the node's identity: %w", err)
	}
	return nil
}

// LoadNodeIdentity reads what Save wrote; ok is false where there is none.
func LoadNodeIdentity(dir, nodeName string) (id *NodeIdentity, ok bool, err error) {
	path := filepath.Join(dir, identityFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	n := &NodeIdentity{}
	if err == nil {
		err = json.Unmarshal(data, n)
	}
	if err == nil {
		err = n.check(nodeName)
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading the node's identity in %s: %w (remove the file and join again with a token)", path, err)
	}
	return n, true, nil
}

// DueForRenewal tells whether Renew should be called.
func (n *NodeIdentity) DueForRenewal(now time.Time) bool {
	for _, pair := range []KeyPair{n.Client, n.Serving} {
		cert, err := parseCertificate(pair.Cert)
		if err != nil || dueForRenewal(cert, now) {
			return true
		}
	}
	return false
}

// check tells whether keys and certificates belong together, to the authority
// and to the node.
func (n *NodeIdentity) check(nodeName string) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(n.Authority) {
		return errors.New("the authority is no certificate")
	}
	usages := map[x509.ExtKeyUsage]KeyPair{x509.ExtKeyUsageClientAuth: n.Client, x509.ExtKeyUsageServerAuth: n.Serving}
	for usage, pair := range usages {
		cert, err := pair.TLS()
		if err != nil {
			return err
		}
		// One that ran out is still the node's: it is said where it is used.
		opts := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: cert.Leaf.NotBefore.Add(clockSkew)}
		if _, err := cert.Leaf.Verify(opts); err != nil {
			return err
		}
		if want := Node(nodeName).Name; cert.Leaf.Subject.CommonName != want {
			return fmt.Errorf("the certificate is for %s, not for %s", cert.Leaf.Subject.CommonName, want)
		}
	}
	return nil
}
