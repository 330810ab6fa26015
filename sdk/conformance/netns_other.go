//go:build !linux

package conformance

import "errors"

// netNamespace is what only Linux has.
type netNamespace struct{ path string }

var errNoNetNamespaces = errors.New("only Linux has network namespaces")

func newNetNamespace(string) (*netNamespace, error) { return nil, errNoNetNamespaces }

func (*netNamespace) do(func() error) error { return errNoNetNamespaces }

func (*netNamespace) remove() error { return nil }
