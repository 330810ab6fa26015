package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// protobufMagic begins every Kubernetes protobuf message; what follows is a
// runtime.Unknown that holds the object.
var protobufMagic = [...]byte{'k', '8', 's', 0}

// message is what generated.pb.go of k8s.io/api gives every type.
type message interface {
	Size() int
	MarshalToSizedBuffer([]byte) (int, error)
	Unmarshal([]byte) error
}

// HasProtobuf tells whether a type has a protobuf form.
func HasProtobuf(obj runtime.Object) bool {
	_, ok := obj.(message)
	return ok
}

// AppendProtobuf appends obj with its envelope.
func AppendProtobuf(dst []byte, gvk schema.GroupVersionKind, obj runtime.Object) ([]byte, error) {
	m, ok := obj.(message)
	if !ok {
		return dst, fmt.Errorf("encode %s as protobuf: %T has no protobuf form", gvk.Kind, obj)
	}
	size := m.Size()
	dst = appendEnvelope(dst, gvk, size)
	dst, err := appendMessage(dst, m, size)
	if err != nil {
		return dst, fmt.Errorf("encode %s as protobuf: %w", gvk.Kind, err)
	}
	return append(dst, envelopeEnd...), nil
}

// Tags of runtime.Unknown, metav1.WatchEvent, runtime.RawExtension and of
// every list type: field number << 3 | 2 (length-delimited).
const (
	tag1 = 1<<3 | 2
	tag2 = 2<<3 | 2
	tag3 = 3<<3 | 2
	tag4 = 4<<3 | 2
)

// envelopeEnd are the empty contentEncoding and contentType.
var envelopeEnd = []byte{tag3, 0, tag4, 0}

// appendEnvelope appends everything before an object of the given size.
func appendEnvelope(dst []byte, gvk schema.GroupVersionKind, size int) []byte {
	apiVersion, kind := gvk.ToAPIVersionAndKind()
	typeMeta := 1 + varintLen(len(apiVersion)) + len(apiVersion) + 1 + varintLen(len(kind)) + len(kind)
	dst = append(dst, protobufMagic[:]...)
	dst = appendHeader(dst, tag1, typeMeta)
	dst = append(appendHeader(dst, tag1, len(apiVersion)), apiVersion...)
	dst = append(appendHeader(dst, tag2, len(kind)), kind...)
	return appendHeader(dst, tag2, size)
}

func appendHeader(dst []byte, tag byte, size int) []byte {
	return binary.AppendUvarint(append(dst, tag), uint64(size))
}

func appendMessage(dst []byte, m message, size int) ([]byte, error) {
	start := len(dst)
	dst = grow(dst, size)[:start+size]
	if _, err := m.MarshalToSizedBuffer(dst[start:]); err != nil {
		return dst[:start], err
	}
	return dst, nil
}

func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	bigger := make([]byte, len(dst), max(2*cap(dst), len(dst)+n))
	copy(bigger, dst)
	return bigger
}

func varintLen(n int) int { return (bits.Len64(uint64(n)|1) + 6) / 7 }

// AppendProtobufList appends a list of any kind: its metadata and its items,
// without a list object made for it.
func AppendProtobufList(dst []byte, gvk schema.GroupVersionKind, meta message, items []runtime.Object) ([]byte, error) {
	metaSize := meta.Size()
	size := 1 + varintLen(metaSize) + metaSize
	sizes := make([]int, len(items))
	for i, item := range items {
		m, ok := item.(message)
		if !ok {
			return dst, fmt.Errorf("encode %s as protobuf: %T has no protobuf form", gvk.Kind, item)
		}
		sizes[i] = m.Size()
		size += 1 + varintLen(sizes[i]) + sizes[i]
	}
	dst = appendEnvelope(grow(dst, size+128), gvk, size)
	dst, err := appendMessage(appendHeader(dst, tag1, metaSize), meta, metaSize)
	if err != nil {
		return dst, fmt.Errorf("encode %s as protobuf: %w", gvk.Kind, err)
	}
	for i, item := range items {
		if dst, err = appendMessage(appendHeader(dst, tag2, sizes[i]), item.(message), sizes[i]); err != nil {
			return dst, fmt.Errorf("encode item %d of %s as protobuf: %w", i, gvk.Kind, err)
		}
	}
	return append(dst, envelopeEnd...), nil
}

// AppendProtobufFrame appends one frame of a watch stream: the length in four
// bytes, then a metav1.WatchEvent around an object with its envelope.
func AppendProtobufFrame(dst []byte, eventType string, object []byte) []byte {
	raw := 1 + varintLen(len(object)) + len(object)
	size := 1 + varintLen(len(eventType)) + len(eventType) + 1 + varintLen(raw) + raw
	dst = grow(dst, 4+size)
	dst = binary.BigEndian.AppendUint32(dst, uint32(size))
	dst = append(appendHeader(dst, tag1, len(eventType)), eventType...)
	dst = appendHeader(dst, tag2, raw)
	return append(appendHeader(dst, tag1, len(object)), object...)
}

// openEnvelope reads the envelope of a body.
func openEnvelope(body []byte) (runtime.Unknown, error) {
	var unknown runtime.Unknown
	raw, ok := bytes.CutPrefix(body, protobufMagic[:])
	if !ok {
		return unknown, fmt.Errorf("the body does not begin with the Kubernetes protobuf magic %q", protobufMagic[:])
	}
	if err := unknown.Unmarshal(raw); err != nil {
		return unknown, fmt.Errorf("the protobuf envelope is broken: %w", err)
	}
	return unknown, nil
}
