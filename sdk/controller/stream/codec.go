package stream

import (
	"bytes"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// envelope begins Kubernetes protobuf; after it comes a runtime.Unknown.
var envelope = []byte{'k', '8', 's', 0}

// protobufObject is what generated Kubernetes types with a protobuf form have.
type protobufObject interface {
	Size() int
	MarshalTo([]byte) (int, error)
	MarshalToSizedBuffer([]byte) (int, error)
	Unmarshal([]byte) error
}

// HasProtobuf tells whether an object has the Kubernetes protobuf form.
func HasProtobuf(obj runtime.Object) bool {
	_, ok := obj.(protobufObject)
	return ok
}

// Encode writes an object of a kind in the stream's encoding. Objects without
// a protobuf form are always written as JSON.
func Encode(encoding pluginv1.Encoding, kind schema.GroupVersionKind, obj runtime.Object) ([]byte, error) {
	if encoding == pluginv1.Encoding_ENCODING_KUBERNETES_PROTOBUF {
		if p, ok := obj.(protobufObject); ok {
			return encodeProtobuf(kind, p)
		}
	}
	data, err := json.Marshal(obj)
	if err != nil {
		return nil, fmt.Errorf("encode %s as JSON: %w", kind.Kind, err)
	}
	return data, nil
}

func encodeProtobuf(kind schema.GroupVersionKind, obj protobufObject) ([]byte, error) {
	unknown := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: kind.GroupVersion().String(), Kind: kind.Kind}}
	size := obj.Size()
	data := make([]byte, len(envelope)+unknown.Size()+1+varintSize(uint64(size))+size)
	copy(data, envelope)
	n, err := unknown.NestedMarshalTo(data[len(envelope):], obj, uint64(size))
	if err != nil {
		return nil, fmt.Errorf("encode %s as protobuf: %w", kind.Kind, err)
	}
	return data[:len(envelope)+n], nil
}

func varintSize(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// Decode reads what Encode wrote into an object of that type. The encoding is
// told from the data.
func Decode(data []byte, into runtime.Object) error {
	if !bytes.HasPrefix(data, envelope) {
		if err := json.Unmarshal(data, into); err != nil {
			return fmt.Errorf("decode object from JSON: %w", err)
		}
		return nil
	}
	p, ok := into.(protobufObject)
	if !ok {
		return fmt.Errorf("decode object: %T has no protobuf form", into)
	}
	var unknown runtime.Unknown
	if err := unknown.Unmarshal(data[len(envelope):]); err != nil {
		return fmt.Errorf("decode protobuf envelope: %w", err)
	}
	if err := p.Unmarshal(unknown.Raw); err != nil {
		return fmt.Errorf("decode %s from protobuf: %w", unknown.Kind, err)
	}
	return nil
}
