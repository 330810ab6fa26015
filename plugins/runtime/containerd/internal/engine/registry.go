package engine

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	dockerconfig "github.com/containerd/containerd/v2/core/remotes/docker/config"

	"github.com/pintle-io/pintle/sdk/runtime"
)

const (
	dockerHub     = "docker.io"
	dockerHubHost = "registry-1.docker.io"

	// responseTimeout is how long a registry may take to begin an answer. The
	// answer itself may take as long as it takes.
	responseTimeout = 30 * time.Second
)

// registryHosts says whom to ask for the images of a registry, and how.
// Credentials are those of the registry: no mirror gets them.
func (e *Engine) registryHosts(ctx context.Context, auth *runtime.RegistryAuth) docker.RegistryHosts {
	if e.config.CertsDir != "" {
		return func(registry string) ([]docker.RegistryHost, error) {
			return dockerconfig.ConfigureHosts(ctx, dockerconfig.HostOptions{
				HostDir: dockerconfig.HostDirFromRoot(e.config.CertsDir),
				Credentials: func(host string) (string, string, error) {
					if host != registryHost(registry) {
						return "", "", nil
					}
					user, secret := credentials(auth)
					return user, secret, nil
				},
			})(registry)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = responseTimeout
	client := &http.Client{Transport: transport}
	return func(registry string) ([]docker.RegistryHost, error) {
		var hosts []docker.RegistryHost
		for _, mirror := range e.mirrors(registry) {
			u, err := url.Parse(mirror)
			if err != nil {
				return nil, err
			}
			hosts = append(hosts, docker.RegistryHost{
				Client: client, Authorizer: docker.NewDockerAuthorizer(docker.WithAuthClient(client)),
				Scheme: u.Scheme, Host: u.Host, Path: strings.TrimSuffix(u.Path, "/") + "/v2",
				Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve,
			})
		}
		scheme := "https"
		if slices.Contains(e.config.InsecureRegistries, registry) {
			scheme = "http"
		} else if local, err := docker.MatchLocalhost(registry); err == nil && local {
			scheme = "http"
		}
		return append(hosts, docker.RegistryHost{
			Client: client, Authorizer: authorizer(client, auth),
			Scheme: scheme, Host: registryHost(registry), Path: "/v2",
			Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve,
		}), nil
	}
}

// registryHost is where a registry is asked: docker.io is but a name.
func registryHost(registry string) string {
	if registry == dockerHub {
		return dockerHubHost
	}
	return registry
}

func (e *Engine) mirrors(registry string) []string {
	return append(slices.Clone(e.config.Mirrors[registry]), e.config.Mirrors["*"]...)
}

func credentials(auth *runtime.RegistryAuth) (user, secret string) {
	if token := auth.GetIdentityToken(); token != "" {
		return "", token
	}
	return auth.GetUsername(), auth.GetPassword()
}

func authorizer(client *http.Client, auth *runtime.RegistryAuth) docker.Authorizer {
	if token := auth.GetRegistryToken(); token != "" {
		return bearer(token)
	}
	options := []docker.AuthorizerOpt{docker.WithAuthClient(client)}
	if auth != nil {
		options = append(options, docker.WithAuthCreds(func(string) (string, string, error) {
			user, secret := credentials(auth)
			return user, secret, nil
		}))
	}
	return docker.NewDockerAuthorizer(options...)
}

// bearer authorizes with a token that the registry gave out before.
type bearer string

func (b bearer) Authorize(_ context.Context, req *http.Request) error {
	req.Header.Set("Authorization", "Bearer "+string(b))
	return nil
}

func (b bearer) AddResponses(context.Context, []*http.Response) error {
	return docker.ErrInvalidAuthorization
}
