package api

import (
	"strings"

	"github.com/pintle-io/pintle/core/registry"
)

// coreGroup stands for the empty group in keys.
const coreGroup = "core"

// kindPrefix is the prefix of the keys of all objects of a kind.
func kindPrefix(k *registry.Kind) string {
	group := k.GVK.Group
	if group == "" {
		group = coreGroup
	}
	return group + "/" + k.Resource + "/"
}

// collectionPrefix is the prefix of a kind's keys, in one namespace where it is
// not empty.
func collectionPrefix(k *registry.Kind, namespace string) string {
	if !k.Namespaced || namespace == "" {
		return kindPrefix(k)
	}
	return kindPrefix(k) + namespace + "/"
}

// objectKey is <group>/<resource>/<namespace>/<name>, without the namespace for
// a kind of the cluster.
func objectKey(k *registry.Kind, namespace, name string) string {
	return collectionPrefix(k, namespace) + name
}

// splitKey returns the namespace, empty for a kind of the cluster, and name.
func splitKey(key string) (namespace, name string) {
	_, rest, _ := strings.Cut(key, "/")
	_, rest, _ = strings.Cut(rest, "/")
	if ns, n, ok := strings.Cut(rest, "/"); ok {
		return ns, n
	}
	return "", rest
}

// keyKind returns the part of a key that names its kind, as kindPrefix.
func keyKind(key string) string {
	group := strings.IndexByte(key, '/')
	if group < 0 {
		return ""
	}
	resource := strings.IndexByte(key[group+1:], '/')
	if resource < 0 {
		return ""
	}
	return key[:group+resource+2]
}
