package api

import (
	"bytes"
	"encoding/json"
	"maps"
	"testing"

	"github.com/pintle-io/pintle/core/registry"
)

// Every kind has the stored form that the splice of resourceVersion relies on.
func TestStoredFormOfEveryKind(t *testing.T) {
	kinds, err := registry.New(registry.Builtin(registry.Options{})...)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds.Kinds() {
		obj := k.New()
		metaOf(obj).SetName("x")
		metaOf(obj).SetResourceVersion("7")
		value, err := encodeStored(k, obj)
		if err != nil {
			t.Errorf("%s: %v", k.GVK, err)
			continue
		}
		if bytes.Contains(value, []byte("resourceVersion")) {
			t.Errorf("%s: resourceVersion is stored: %s", k.GVK, value)
		}
		data, err := (&Document{kind: k, stored: value, revision: 7}).JSON()
		if err != nil {
			t.Fatal(err)
		}
		back := k.New()
		if err := json.Unmarshal(data, back); err != nil {
			t.Errorf("%s: %v in %s", k.GVK, err, data)
		}
		if m := metaOf(back); m.GetResourceVersion() != "7" || m.GetName() != "x" || back.GetObjectKind().GroupVersionKind() != k.GVK {
			t.Errorf("%s: %s", k.GVK, data)
		}
	}
}

func FuzzFindField(f *testing.F) {
	f.Add(`{"a":{"b":[1,"]}",{"c":"\"}"}]},"b":"x","c":{}}`, "c")
	f.Add(`{"labels":{"a":"b"},"x":-1.5e3,"y":null}`, "y")
	f.Add(`{}`, "")
	f.Fuzz(func(t *testing.T, text, name string) {
		var content map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &content) != nil || content == nil {
			findField([]byte(text), 1, name) // must not panic
			return
		}
		if _, ok := content[name]; ok && len(content) > 0 {
			compact, err := json.Marshal(content) // as the stored form: compact, no doubles
			if err != nil {
				return
			}
			quoted, _ := json.Marshal(name)
			got, found := findField(compact, 1, string(quoted[1:len(quoted)-1]))
			want, _ := json.Marshal(content[name])
			if !found || !bytes.Equal(got, want) {
				t.Errorf("%q in %s is %s, want %s", name, compact, got, want)
			}
		}
	})
}

func FuzzParseStrings(f *testing.F) {
	f.Add(`{"a":"b","c":"d\"e"}`)
	f.Add(`{"a":1}`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, text string) {
		var want map[string]string
		if json.Unmarshal([]byte(text), &want) != nil {
			_, _ = parseStrings([]byte(text)) // must not panic
			return
		}
		compact, err := json.Marshal(want)
		if err != nil {
			return
		}
		got, err := parseStrings(compact)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%s gives %v, %v", compact, got, err)
		}
	})
}

func FuzzContinuation(f *testing.F) {
	f.Add(continuation{Revision: 5, Start: "default/a"}.encode())
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		c, err := parseContinuation(token)
		if err != nil {
			return
		}
		if again, err := parseContinuation(c.encode()); err != nil || again != c {
			t.Errorf("%+v became %+v, %v", c, again, err)
		}
	})
}
