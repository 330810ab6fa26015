package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// TokenNamespace is where the Secrets of tokens are.
	TokenNamespace = metav1.NamespaceSystem

	tokenSecretPrefix = "bootstrap-token-"
	tokenIDLength     = 6
	tokenSecretLength = 16
	tokenAlphabet     = "abcdefghijklmnopqrstuvwxyz0123456789"

	tokenIDKey          = "token-id"
	tokenSecretKey      = "token-secret"
	tokenExpirationKey  = "expiration"
	tokenUsageKey       = "usage-bootstrap-authentication"
	tokenDescriptionKey = "description"
	tokenGroupsKey      = "auth-extra-groups"
	tokenExtraGroup     = "system:bootstrappers:pintle:node"
)

// Token lets a machine become a node. It is a Kubernetes bootstrap token,
// <id>.<secret>, with the fingerprint of the authority after another dot: by it
// the machine knows the server before it says the secret.
type Token struct {
	ID, Secret, Fingerprint string
}

var tokenForm = regexp.MustCompile(`^([a-z0-9]{6})\.([a-z0-9]{16})\.([0-9a-f]{64})$`)

// ParseToken reads a token as `pintle token create` printed it.
func ParseToken(text string) (Token, error) {
	m := tokenForm.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return Token{}, errors.New("the token is not of the form <id>.<secret>.<fingerprint>: copy the whole line that `pintle token create` printed")
	}
	return Token{ID: m[1], Secret: m[2], Fingerprint: m[3]}, nil
}

func (t Token) String() string { return t.ID + "." + t.Secret + "." + t.Fingerprint }

// NewToken makes a token of this authority and the Secret that lets the server
// know it. A life of 0 is for ever.
func (a *Authority) NewToken(life time.Duration, description string) (Token, *corev1.Secret, error) {
	id, err := randomText(tokenIDLength)
	if err != nil {
		return Token{}, nil, err
	}
	secret, err := randomText(tokenSecretLength)
	if err != nil {
		return Token{}, nil, err
	}
	t := Token{ID: id, Secret: secret, Fingerprint: a.Fingerprint()}
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: tokenSecretPrefix + id, Namespace: TokenNamespace},
		Type:       corev1.SecretTypeBootstrapToken,
		Data: map[string][]byte{
			tokenIDKey: []byte(id), tokenSecretKey: []byte(secret),
			tokenUsageKey: []byte("true"), tokenGroupsKey: []byte(tokenExtraGroup),
		},
	}
	if description != "" {
		s.Data[tokenDescriptionKey] = []byte(description)
	}
	if life > 0 {
		s.Data[tokenExpirationKey] = []byte(time.Now().Add(life).UTC().Format(time.RFC3339))
	}
	return t, s, nil
}

// randomText draws letters evenly: bytes beyond the last whole multiple of the
// alphabet are drawn again.
func randomText(n int) (string, error) {
	const limit = 256 - 256%len(tokenAlphabet)
	out := make([]byte, 0, n)
	buf := make([]byte, 2*n)
	for {
		if _, err := rand.Read(buf); err != nil {
			return "", fmt.Errorf("drawing a token: %w", err)
		}
		for _, b := range buf {
			if int(b) < limit {
				out = append(out, tokenAlphabet[int(b)%len(tokenAlphabet)])
			}
			if len(out) == n {
				return string(out), nil
			}
		}
	}
}

// SecretReader reads a Secret; its error satisfies apierrors.IsNotFound where
// there is none.
type SecretReader func(ctx context.Context, namespace, name string) (*corev1.Secret, error)

// errToken is the one answer to every wrong token, whatever is wrong with it.
var errToken = errors.New("the token is unknown or expired: make a new one with `pintle token create`")

// verifyToken checks a token against its Secret.
func verifyToken(s *corev1.Secret, t Token, now time.Time) error {
	if s.Type != corev1.SecretTypeBootstrapToken || string(s.Data[tokenUsageKey]) != "true" {
		return errToken
	}
	sameID := subtle.ConstantTimeCompare(s.Data[tokenIDKey], []byte(t.ID))
	sameSecret := subtle.ConstantTimeCompare(s.Data[tokenSecretKey], []byte(t.Secret))
	if sameID&sameSecret != 1 || s.DeletionTimestamp != nil {
		return errToken
	}
	if end := string(s.Data[tokenExpirationKey]); end != "" {
		at, err := time.Parse(time.RFC3339, end)
		if err != nil || !now.Before(at) {
			return errToken
		}
	}
	return nil
}
