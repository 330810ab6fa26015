package controller

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Key names the object to work on. It may be gone.
type Key struct {
	Kind            schema.GroupKind
	Namespace, Name string
}

// String returns kind/namespace/name, without the namespace where there is
// none.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Kind.Kind + "/" + k.Name
	}
	return k.Kind.Kind + "/" + k.Namespace + "/" + k.Name
}

func (p *plan) keyFromWire(k *pluginv1.Key) (Key, error) {
	if int(k.GetKind()) >= len(p.keys) {
		return Key{}, fmt.Errorf("key %s/%s is of kind %d, but the loop has %d key kinds", k.GetNamespace(), k.GetName(), k.GetKind(), len(p.keys))
	}
	return Key{Kind: p.keys[k.GetKind()].GroupKind(), Namespace: k.GetNamespace(), Name: k.GetName()}, nil
}

func (p *plan) keyToWire(k Key) (*pluginv1.Key, error) {
	for i, kind := range p.keys {
		if kind.GroupKind() == k.Kind || (k.Kind.Empty() && i == 0) {
			return &pluginv1.Key{Namespace: k.Namespace, Name: k.Name, Kind: uint32(i)}, nil
		}
	}
	return nil, fmt.Errorf("%s is of no key kind: only watches with the trigger Self make key kinds", k)
}
