package images

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// dockerHub is what image names without a registry mean, and how docker's
// configuration names it.
const (
	dockerHub    = "docker.io"
	dockerHubKey = "index.docker.io"
)

// auths are the credentials that the pod's pull secrets hold for an image, the
// most specific first. Secrets that can't be read are reported, the others
// used.
func (m *Manager) auths(ctx context.Context, pod *corev1.Pod, image string) ([]*pluginv1.RegistryAuth, error) {
	var all []entry
	var failed []error
	for _, ref := range pod.Spec.ImagePullSecrets {
		secret, err := m.o.Objects.Secret(ctx, pod.Namespace, ref.Name)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", ref.Name, err))
			continue
		}
		entries, err := parseSecret(secret)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", ref.Name, err))
			continue
		}
		all = append(all, entries...)
	}
	return match(all, image), errors.Join(failed...)
}

type entry struct {
	// host and path prefix that the credential is for.
	host, path string
	auth       *pluginv1.RegistryAuth
}

type dockerAuth struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// parseSecret reads both forms of docker's configuration.
func parseSecret(s *corev1.Secret) ([]entry, error) {
	var auths map[string]dockerAuth
	switch {
	case len(s.Data[corev1.DockerConfigJsonKey]) > 0:
		var file struct {
			Auths map[string]dockerAuth `json:"auths"`
		}
		if err := json.Unmarshal(s.Data[corev1.DockerConfigJsonKey], &file); err != nil {
			return nil, fmt.Errorf("reading %s: %w", corev1.DockerConfigJsonKey, err)
		}
		auths = file.Auths
	case len(s.Data[corev1.DockerConfigKey]) > 0:
		if err := json.Unmarshal(s.Data[corev1.DockerConfigKey], &auths); err != nil {
			return nil, fmt.Errorf("reading %s: %w", corev1.DockerConfigKey, err)
		}
	default:
		return nil, fmt.Errorf("a pull secret needs the key %s or %s", corev1.DockerConfigJsonKey, corev1.DockerConfigKey)
	}
	out := make([]entry, 0, len(auths))
	for registry, a := range auths {
		e := entry{auth: &pluginv1.RegistryAuth{
			Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken,
		}}
		if a.Auth != "" && a.Username == "" {
			raw, err := base64.StdEncoding.DecodeString(strings.TrimRight(a.Auth, "\x00"))
			if err != nil {
				return nil, fmt.Errorf("the auth of registry %q is not base64: %w", registry, err)
			}
			name, password, ok := strings.Cut(string(raw), ":")
			if !ok {
				return nil, fmt.Errorf("the auth of registry %q is not user:password", registry)
			}
			e.auth.Username, e.auth.Password = name, strings.TrimRight(password, "\x00")
		}
		e.host, e.path = splitRegistry(registry)
		out = append(out, e)
	}
	return out, nil
}

func splitRegistry(s string) (host, prefix string) {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "https://"), "http://")
	host, prefix, _ = strings.Cut(s, "/")
	prefix = strings.Trim(prefix, "/")
	// Docker's own client writes the API version there.
	if prefix == "v1" || prefix == "v2" {
		prefix = ""
	}
	if host == dockerHubKey {
		host = dockerHub
	}
	return host, prefix
}

// splitImage returns registry and repository of an image name.
func splitImage(image string) (host, repository string) {
	name, _, _ := strings.Cut(image, "@")
	first, rest, ok := strings.Cut(name, "/")
	if !ok || !strings.ContainsAny(first, ".:") && first != "localhost" {
		first, rest = dockerHub, name
	}
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		rest = rest[:i]
	}
	if first == dockerHub && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	if first == dockerHubKey {
		first = dockerHub
	}
	return first, rest
}

func match(all []entry, image string) []*pluginv1.RegistryAuth {
	host, repository := splitImage(image)
	var fit []entry
	for _, e := range all {
		if ok, err := path.Match(e.host, host); err != nil || !ok {
			continue
		}
		if e.path == "" || repository == e.path || strings.HasPrefix(repository, e.path+"/") {
			fit = append(fit, e)
		}
	}
	slices.SortStableFunc(fit, func(a, b entry) int {
		return cmp.Or(cmp.Compare(len(b.path), len(a.path)), cmp.Compare(len(b.host), len(a.host)))
	})
	out := make([]*pluginv1.RegistryAuth, 0, len(fit))
	for _, e := range fit {
		out = append(out, e.auth)
	}
	return out
}
