package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"

	"github.com/pintle-io/pintle/core/auth"
)

// renewalCheck is how often the age of a node's certificates is looked at.
const renewalCheck = time.Hour

// identity is who a joined node is: to the API server by files that client-go
// reads again when they change, to its own clients by the serving certificate.
type identity struct {
	m       *machine
	server  string
	serving atomic.Pointer[tls.Certificate]
}

// join gets the node's certificates, or finds those that it got before.
func (m *machine) join(ctx context.Context, server, token string) (*identity, error) {
	if server == "" {
		return nil, errors.New("--server is required: the URL of the API server, as https://HOST:6443")
	}
	i := &identity{m: m, server: server}
	id, ok, err := auth.LoadNodeIdentity(m.paths.node(), m.opts.name)
	switch {
	case err != nil:
		return nil, err
	case ok && id.DueForRenewal(time.Now()):
		if id, err = id.Renew(ctx, server, m.opts.name, m.hosts()); err != nil {
			return nil, err
		}
	case !ok && token == "":
		return nil, errors.New("this machine has not joined the cluster yet: give --token, as \"pintle token create\" prints it on the server")
	case !ok:
		if id, err = auth.Join(ctx, server, token, m.opts.name, m.hosts()); err != nil {
			return nil, err
		}
	}
	if err := i.use(id); err != nil {
		return nil, err
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(id.Authority) {
		return nil, fmt.Errorf("the authority in %s can't be read: remove the directory and join again", m.paths.node())
	}
	m.tls = &tls.Config{
		MinVersion: tls.VersionTLS12, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: clients,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return i.serving.Load(), nil },
	}
	m.api = &rest.Config{Host: server, TLSClientConfig: rest.TLSClientConfig{CAData: id.Authority, CertFile: i.file("crt"), KeyFile: i.file("key")}}
	return i, nil
}

func (i *identity) file(ending string) string {
	return filepath.Join(i.m.paths.node(), "client."+ending)
}

// use keeps an identity and takes it into use.
func (i *identity) use(id *auth.NodeIdentity) error {
	serving, err := id.Serving.TLS()
	if err != nil {
		return err
	}
	if err := id.Save(i.m.paths.node()); err != nil {
		return err
	}
	for ending, content := range map[string][]byte{"crt": id.Client.Cert, "key": id.Client.Key} {
		if err := os.WriteFile(i.file(ending), content, 0o600); err != nil {
			return err
		}
	}
	i.serving.Store(&serving)
	return nil
}

// renew gets new certificates before the old ones end, until ctx does.
func (i *identity) renew(ctx context.Context) error {
	every(ctx, renewalCheck, func() {
		id, ok, err := auth.LoadNodeIdentity(i.m.paths.node(), i.m.opts.name)
		if err == nil && ok && id.DueForRenewal(time.Now()) {
			if id, err = id.Renew(ctx, i.server, i.m.opts.name, i.m.hosts()); err == nil {
				err = i.use(id)
			}
		}
		if err != nil {
			i.m.log.Error("renewing the node's certificates failed, trying again later", "err", err, "after", renewalCheck)
		}
	})
	return nil
}
