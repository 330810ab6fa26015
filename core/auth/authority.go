package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	authorityFile    = "ca.crt"
	authorityKeyFile = "ca.key"

	authorityLife = 10 * 365 * 24 * time.Hour
	// certificateLife is that of all other certificates; one is renewed when a
	// third of it is left.
	certificateLife = 365 * 24 * time.Hour
	// clockSkew is how far the clocks of two machines may differ.
	clockSkew = 5 * time.Minute
)

// Authority is the cluster's certificate authority: an ECDSA P-256 key and a
// certificate of its own in two files of one directory. It is safe for
// concurrent use.
type Authority struct {
	dir  string
	cert *x509.Certificate
	pem  []byte
	key  *ecdsa.PrivateKey
}

// OpenAuthority reads the authority in a directory, or makes it where the
// directory has none. Half an authority is an error: a new one would turn away
// every client of the old.
func OpenAuthority(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the certificate authority: %w", err)
	}
	certPEM, certErr := os.ReadFile(filepath.Join(dir, authorityFile))
	keyPEM, keyErr := os.ReadFile(filepath.Join(dir, authorityKeyFile))
	if errors.Is(certErr, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist) {
		return createAuthority(dir)
	}
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, fmt.Errorf("opening the certificate authority in %s: %w (restore both files from a backup, or remove both to make a new authority, which no present client will trust)", dir, err)
	}
	a := &Authority{dir: dir, pem: certPEM}
	var err error
	if a.cert, err = parseCertificate(certPEM); err != nil {
		return nil, fmt.Errorf("reading %s: %w", filepath.Join(dir, authorityFile), err)
	}
	if a.key, err = parseKey(keyPEM); err != nil {
		return nil, fmt.Errorf("reading %s: %w", filepath.Join(dir, authorityKeyFile), err)
	}
	if !a.key.PublicKey.Equal(a.cert.PublicKey) {
		return nil, fmt.Errorf("opening the certificate authority in %s: %s is not the key of %s", dir, authorityKeyFile, authorityFile)
	}
	if now := time.Now(); now.After(a.cert.NotAfter) {
		return nil, fmt.Errorf("the certificate authority in %s expired on %s: remove both files to make a new one, then join every node again", dir, a.cert.NotAfter.Format(time.DateOnly))
	}
	return a, nil
}

// createAuthority writes the key before the certificate, so that what a crash
// leaves is found and not taken for an authority.
func createAuthority(dir string) (*Authority, error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "pintle-ca-" + hex.EncodeToString(serial.Bytes()[:4])},
		NotBefore:    now.Add(-clockSkew), NotAfter: now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making the certificate authority: %w", err)
	}
	a := &Authority{dir: dir, cert: cert, key: key, pem: encodeCertificate(der)}
	if err := writeSecret(filepath.Join(dir, authorityKeyFile), keyPEM); err != nil {
		return nil, err
	}
	return a, writeSecret(filepath.Join(dir, authorityFile), a.pem)
}

func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, fmt.Errorf("choosing a serial number: %w", err)
	}
	b[0] = b[0]&0x7f | 0x40 // positive, and of full length
	return new(big.Int).SetBytes(b), nil
}

// CertificatePEM is what clients trust.
func (a *Authority) CertificatePEM() []byte { return slices.Clone(a.pem) }

// Pool holds the authority's certificate.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Fingerprint is the SHA-256 of the authority's certificate in hexadecimal.
func (a *Authority) Fingerprint() string { return fingerprint(a.cert) }

func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// IssueClient makes a key and the certificate by which a user is known: the
// common name is its name, the organizations are its groups.
func (a *Authority) IssueClient(u User) (KeyPair, error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return KeyPair{}, err
	}
	cert, err := a.signClient(u, &key.PublicKey)
	return KeyPair{Cert: cert, Key: keyPEM}, err
}

// IssueServing makes a key and a certificate for a server that is reached by
// the hosts: names and addresses.
func (a *Authority) IssueServing(name string, hosts []string) (KeyPair, error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return KeyPair{}, err
	}
	cert, err := a.signServing(name, hosts, &key.PublicKey)
	return KeyPair{Cert: cert, Key: keyPEM}, err
}

func (a *Authority) signClient(u User, key crypto.PublicKey) ([]byte, error) {
	groups := slices.DeleteFunc(slices.Clone(u.Groups), func(g string) bool { return g == GroupAuthenticated })
	return a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: u.Name, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, key, nil)
}

// signServing adds the authority's own certificate to the chain: a machine
// that only knows the fingerprint finds it there.
func (a *Authority) signServing(name string, hosts []string, key crypto.PublicKey) ([]byte, error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	return a.sign(template, key, a.pem)
}

func (a *Authority) sign(template *x509.Certificate, key crypto.PublicKey, chain []byte) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = now.Add(-clockSkew), now.Add(certificateLife)
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate for %s: %w", template.Subject.CommonName, err)
	}
	return append(encodeCertificate(der), chain...), nil
}

// dueForRenewal tells whether a third or less of a certificate's life is left.
func dueForRenewal(cert *x509.Certificate, now time.Time) bool {
	life := cert.NotAfter.Sub(cert.NotBefore)
	return now.After(cert.NotAfter.Add(-life / 3))
}
