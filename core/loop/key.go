package loop

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Key names an object that a loop works on.
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

func (s *spec) keyFromWire(k *pluginv1.Key) (Key, error) {
	if int(k.GetKind()) >= len(s.keyKinds) {
		return Key{}, fmt.Errorf("key kind %d was not declared: the loop has %d", k.GetKind(), len(s.keyKinds))
	}
	if k.GetName() == "" {
		return Key{}, fmt.Errorf("key without a name")
	}
	kind := s.keyKinds[k.GetKind()]
	if kind.Namespaced != (k.GetNamespace() != "") {
		return Key{}, fmt.Errorf("key %q of kind %s has namespace %q", k.GetName(), kind.GVK.Kind, k.GetNamespace())
	}
	return Key{Kind: kind.GVK.GroupKind(), Namespace: k.GetNamespace(), Name: k.GetName()}, nil
}

// keyToWire returns false for a key that this version of the loop has no kind
// for.
func (s *spec) keyToWire(k Key) (*pluginv1.Key, bool) {
	for i, kind := range s.keyKinds {
		if kind.GVK.GroupKind() == k.Kind {
			return &pluginv1.Key{Namespace: k.Namespace, Name: k.Name, Kind: uint32(i)}, true
		}
	}
	return nil, false
}
