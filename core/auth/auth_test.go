package auth

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func newAuthority(t *testing.T) *Authority {
	t.Helper()
	a, err := OpenAuthority(filepath.Join(t.TempDir(), "pki"))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAuthorityIsKept(t *testing.T) {
	a := newAuthority(t)
	again, err := OpenAuthority(a.dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Fingerprint() != a.Fingerprint() {
		t.Error("the second start made another authority")
	}
	files, err := os.ReadDir(a.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f.Name(), info.Mode())
		}
	}
	if err := os.Remove(filepath.Join(a.dir, authorityKeyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAuthority(a.dir); err == nil {
		t.Error("half an authority was opened")
	}
}

func TestServingCertificateFollowsHosts(t *testing.T) {
	a := newAuthority(t)
	first, err := a.Serving("server", []string{"localhost", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	same, err := a.Serving("server", []string{"127.0.0.1", "localhost", "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	if !same.cert.Leaf.Equal(first.cert.Leaf) {
		t.Error("the same hosts made another certificate")
	}
	other, err := a.Serving("server", []string{"127.0.0.1", "10.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	if other.cert.Leaf.Equal(first.cert.Leaf) {
		t.Error("a new host made no new certificate")
	}
	leaf := other.cert.Leaf
	for after, due := range map[time.Duration]bool{0: false, certificateLife / 2: false, certificateLife * 3 / 4: true} {
		if got := dueForRenewal(leaf, leaf.NotBefore.Add(after)); got != due {
			t.Errorf("due for renewal after %v: %v", after, got)
		}
	}
}

// A server's certificate says nothing about a client.
func TestUsersComeFromClientCertificates(t *testing.T) {
	a := newAuthority(t)
	serving, err := a.Serving("server", []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	url := serveTLS(t, serving, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, ok := UserFromTLS(r.TLS)
		if !ok {
			u = Anonymous()
		}
		_ = json.NewEncoder(w).Encode(u)
	}))

	ask := func(pair *KeyPair) (User, error) {
		config := &tls.Config{RootCAs: a.Pool()}
		if pair != nil {
			cert, err := pair.TLS()
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = []tls.Certificate{cert}
		}
		transport := &http.Transport{TLSClientConfig: config}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get(url)
		if err != nil {
			return User{}, err
		}
		defer resp.Body.Close()
		var u User
		return u, json.NewDecoder(resp.Body).Decode(&u)
	}
	admin, err := a.IssueClient(Admin())
	if err != nil {
		t.Fatal(err)
	}
	if u, err := ask(&admin); err != nil || u.Name != UserAdmin || !u.InGroup(GroupMasters) || !u.InGroup(GroupAuthenticated) {
		t.Errorf("got %+v, %v", u, err)
	}
	if u, err := ask(nil); err != nil || u.Name != UserAnonymous {
		t.Errorf("got %+v, %v", u, err)
	}
	node, err := a.IssueServing("system:node:n1", []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	if u, err := ask(&node); err == nil {
		t.Errorf("a serving certificate was taken for user %+v", u)
	}
	stranger, err := newAuthority(t).IssueClient(Admin())
	if err != nil {
		t.Fatal(err)
	}
	if u, err := ask(&stranger); err == nil && u.Name != UserAnonymous {
		t.Errorf("another authority's certificate was taken for user %+v", u)
	}
}

// serveTLS serves on loopback under the certificate until the test ends.
func serveTLS(t *testing.T, serving *Serving, handler http.Handler) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, TLSConfig: serving.TLS(), ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(listener, "", "")
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return "https://" + listener.Addr().String()
}

func TestToken(t *testing.T) {
	a := newAuthority(t)
	token, secret, err := a.NewToken(time.Hour, "for n1")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := ParseToken(" " + token.String() + "\n")
	if err != nil || parsed != token {
		t.Fatalf("%v, %v", parsed, err)
	}
	now := time.Now()
	wrong := token
	wrong.Secret = strings.Repeat("a", 16)
	noUsage := secret.DeepCopy()
	delete(noUsage.Data, tokenUsageKey)
	otherType := secret.DeepCopy()
	otherType.Type = corev1.SecretTypeOpaque
	broken := secret.DeepCopy()
	broken.Data[tokenExpirationKey] = []byte("soon")
	tests := []struct {
		name   string
		secret *corev1.Secret
		token  Token
		at     time.Time
		ok     bool
	}{
		{"right", secret, token, now, true},
		{"wrong secret", secret, wrong, now, false},
		{"expired", secret, token, now.Add(2 * time.Hour), false},
		{"not for authentication", noUsage, token, now, false},
		{"another type of Secret", otherType, token, now, false},
		{"unreadable end", broken, token, now, false},
	}
	for _, tt := range tests {
		if err := verifyToken(tt.secret, tt.token, tt.at); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, text := range []string{"", "abc", token.ID + "." + token.Secret, token.String() + "0"} {
		if _, err := ParseToken(text); err == nil {
			t.Errorf("%q was parsed", text)
		}
	}
}

// joinServer serves joins of one authority, with one token.
func joinServer(t *testing.T) (a *Authority, url, token string) {
	t.Helper()
	a = newAuthority(t)
	tok, secret, err := a.NewToken(time.Hour, "")
	if err != nil {
		t.Fatal(err)
	}
	joiner := &Joiner{Authority: a, ServerHosts: []string{"127.0.0.1", "10.1.2.3"}, Secrets: func(_ context.Context, ns, name string) (*corev1.Secret, error) {
		if ns == secret.Namespace && name == secret.Name {
			return secret, nil
		}
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name)
	}}
	serving, err := a.Serving("server", []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	url = serveTLS(t, serving, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req JoinRequest
		if r.URL.Path != JoinPath || json.NewDecoder(r.Body).Decode(&req) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		user, _ := UserFromTLS(r.TLS)
		resp, err := joiner.Join(r.Context(), user, &req)
		if err != nil {
			status := err.(apierrors.APIStatus).Status()
			w.WriteHeader(int(status.Code))
			_ = json.NewEncoder(w).Encode(status)
			return
		}
		_ = json.NewEncoder(w).Encode(resp)
	}))
	return a, url, tok.String()
}

func TestJoin(t *testing.T) {
	ctx := t.Context()
	_, url, token := joinServer(t)
	id, err := Join(ctx, url, token, "n1", []string{"n1", "192.0.2.7"})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := id.Client.TLS()
	if err != nil {
		t.Fatal(err)
	}
	if s := cert.Leaf.Subject; s.CommonName != "system:node:n1" || len(s.Organization) != 1 || s.Organization[0] != GroupNodes {
		t.Errorf("subject %v", s)
	}
	dir := t.TempDir()
	if err := id.Save(dir); err != nil {
		t.Fatal(err)
	}
	loaded, ok, err := LoadNodeIdentity(dir, "n1")
	if err != nil || !ok || loaded.DueForRenewal(time.Now()) {
		t.Fatalf("%v, %v", ok, err)
	}
	if _, _, err := LoadNodeIdentity(dir, "n2"); err == nil {
		t.Error("the identity of n1 was loaded as that of n2")
	}
	renewed, err := loaded.Renew(ctx, url, "n1", []string{"n1"})
	if err != nil {
		t.Fatal(err)
	}
	if string(renewed.Client.Cert) == string(id.Client.Cert) {
		t.Error("the certificate is the old one")
	}
	if _, err := loaded.Renew(ctx, url, "n2", []string{"n2"}); err == nil || !strings.Contains(err.Error(), "its own certificates only") {
		t.Errorf("n1 renewed as n2: %v", err)
	}
}

func TestJoinRefuses(t *testing.T) {
	ctx := t.Context()
	_, url, token := joinServer(t)
	good, err := ParseToken(token)
	if err != nil {
		t.Fatal(err)
	}
	unknown, wrongServer := good, good
	unknown.ID = "aaaaaa"
	wrongServer.Fingerprint = strings.Repeat("0", 64)
	tests := []struct {
		name, token, node string
		hosts             []string
		says              string
	}{
		{"unknown token", unknown.String(), "n1", []string{"n1"}, "unknown or expired"},
		{"another authority", wrongServer.String(), "n1", []string{"n1"}, "not the one that the token is for"},
		{"bad node name", token, "N_1", []string{"n1"}, "nodeName"},
		{"no host", token, "n1", nil, "names no host"},
		{"host of the server", token, "n1", []string{"10.1.2.3"}, "is a host of the API server"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Join(ctx, url, tt.token, tt.node, tt.hosts); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}
