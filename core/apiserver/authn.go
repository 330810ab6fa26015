package apiserver

import (
	"context"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pintle-io/pintle/core/auth"
)

// Authenticator tells who makes a request: false where the request carries
// nothing that it understands, an error where it does and it is wrong.
type Authenticator interface {
	Authenticate(r *http.Request) (auth.User, bool, error)
}

type inProcessUser struct{}

// authenticate names the user of a request: that of an in-process client, of
// the certificate that the TLS layer verified, of an authenticator; else the
// anonymous one.
func (s *Server) authenticate(r *http.Request) (auth.User, error) {
	if u, ok := r.Context().Value(inProcessUser{}).(auth.User); ok {
		return u, nil
	}
	if u, ok := auth.UserFromTLS(r.TLS); ok {
		return u, nil
	}
	for _, a := range s.opts.Authenticators {
		u, ok, err := a.Authenticate(r)
		if err != nil {
			return auth.User{}, apierrors.NewUnauthorized("Unauthorized")
		}
		if ok {
			return withAuthenticated(u), nil
		}
	}
	if r.Header.Get("Authorization") != "" {
		return auth.User{}, apierrors.NewUnauthorized("Unauthorized")
	}
	return auth.Anonymous(), nil
}

func withAuthenticated(u auth.User) auth.User {
	if !slices.Contains(u.Groups, auth.GroupAuthenticated) {
		u.Groups = append(slices.Clip(u.Groups), auth.GroupAuthenticated)
	}
	return u
}

func anonymous(u auth.User) bool { return u.Name == auth.UserAnonymous }

// inProcess marks a context as a request of the given user, made without a
// socket. A request from the network can't carry it.
func inProcess(ctx context.Context, u auth.User) context.Context {
	return context.WithValue(ctx, inProcessUser{}, u)
}
