package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/core/registry"
)

// The stored form of an object is its JSON, which begins with
//
//	{"kind":"<kind>","apiVersion":"<group version>","metadata":{
//
// so that the place where resourceVersion is spliced in is known without
// looking.
const (
	storedKind       = `{"kind":"`
	storedAPIVersion = `","apiVersion":"`
	storedMetadata   = `","metadata":{`
)

// metadataStart is the offset of metadata's first field in the stored form.
func metadataStart(k *registry.Kind) int {
	n := len(storedKind) + len(k.GVK.Kind) + len(storedAPIVersion) + len(k.GVK.Version) + len(storedMetadata)
	if k.GVK.Group != "" {
		n += len(k.GVK.Group) + 1
	}
	return n
}

// encodeStored returns the stored form. The object's resourceVersion is
// cleared.
func encodeStored(k *registry.Kind, obj runtime.Object) ([]byte, error) {
	obj.GetObjectKind().SetGroupVersionKind(k.GVK)
	metaOf(obj).SetResourceVersion("")
	value, err := json.Marshal(obj)
	if err != nil {
		return nil, fmt.Errorf("encoding a %s: %w", k.GVK.Kind, err)
	}
	at := metadataStart(k)
	if len(value) <= at || value[at] != '"' || !bytes.HasSuffix(value[:at], []byte(storedMetadata)) {
		return nil, fmt.Errorf("encoding a %s: %T does not begin with its kind, version and named metadata", k.GVK.Kind, obj)
	}
	return value, nil
}

// decodeStored decodes the stored form into a new object.
func decodeStored(k *registry.Kind, value []byte, revision uint64, key string) (runtime.Object, error) {
	obj := k.New()
	if err := json.Unmarshal(value, obj); err != nil {
		return nil, damaged(key, err)
	}
	setRevision(obj, revision)
	return obj, nil
}

func setRevision(obj runtime.Object, revision uint64) {
	metaOf(obj).SetResourceVersion(strconv.FormatUint(revision, 10))
}

// metaOf returns the metadata of an object of a registered kind.
func metaOf(obj runtime.Object) metav1.Object {
	return obj.(metav1.ObjectMetaAccessor).GetObjectMeta()
}

// metadataField finds a field of metadata in the stored form by scanning,
// without decoding anything.
func metadataField(k *registry.Kind, stored []byte, name string) (value []byte, found bool) {
	return findField(stored, metadataStart(k), name)
}

// topField finds a top-level field in the stored form by scanning.
func topField(stored []byte, name string) (value []byte, found bool) {
	return findField(stored, 1, name)
}

// findField finds a field of the compact JSON object whose first field begins
// at pos.
func findField(stored []byte, pos int, name string) (value []byte, found bool) {
	for pos < len(stored) && stored[pos] == '"' {
		end := skipString(stored, pos)
		if end < 0 || end >= len(stored) || stored[end] != ':' {
			return nil, false
		}
		field := stored[pos+1 : end-1]
		start := end + 1
		if end = skipValue(stored, start); end < 0 {
			return nil, false
		}
		if string(field) == name {
			return stored[start:end], true
		}
		if end >= len(stored) || stored[end] != ',' {
			return nil, false
		}
		pos = end + 1
	}
	return nil, false
}

// skipString returns the offset after the string that begins at pos, or -1.
func skipString(b []byte, pos int) int {
	for pos++; pos < len(b); pos++ {
		switch b[pos] {
		case '\\':
			pos++
		case '"':
			return pos + 1
		}
	}
	return -1
}

// skipValue returns the offset after the compact JSON value at pos, or -1.
func skipValue(b []byte, pos int) int {
	depth := 0
	for pos < len(b) {
		switch b[pos] {
		case '"':
			if pos = skipString(b, pos); pos < 0 {
				return -1
			}
			if depth == 0 {
				return pos
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return pos
			}
			if depth--; depth == 0 {
				return pos + 1
			}
		case ',':
			if depth == 0 {
				return pos
			}
		}
		pos++
	}
	return -1
}

// parseStrings reads a JSON object of strings.
func parseStrings(value []byte) (map[string]string, error) {
	out := make(map[string]string, 4)
	for pos := 1; pos < len(value) && value[pos] == '"'; pos++ {
		keyEnd := skipString(value, pos)
		if keyEnd < 0 || keyEnd+1 >= len(value) || value[keyEnd] != ':' || value[keyEnd+1] != '"' {
			break
		}
		end := skipString(value, keyEnd+1)
		if end < 0 || bytes.IndexByte(value[pos:end], '\\') >= 0 {
			break
		}
		out[string(value[pos+1:keyEnd-1])] = string(value[keyEnd+2 : end-1])
		if pos = end; pos == len(value)-1 && value[pos] == '}' {
			return out, nil
		}
	}
	// Escapes, or no object of strings.
	out = nil
	err := json.Unmarshal(value, &out)
	return out, err
}
