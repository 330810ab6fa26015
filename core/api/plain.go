package api

import (
	"encoding/json"
	"strings"

	"k8s.io/apimachinery/pkg/fields"
	operator "k8s.io/apimachinery/pkg/selection"

	"github.com/pintle-io/pintle/core/registry"
)

// plainFields are those fields of a kind's selectors whose name is the path of
// a string in the object's JSON, such as spec.nodeName. They are read from the
// stored form without decoding it. What the kind itself says of an object that
// has nothing but the field decides.
func plainFields(k *registry.Kind) map[string]bool {
	const probe = "probe"
	plain := map[string]bool{fieldName: true, fieldNamespace: true}
	for _, name := range k.FieldNames {
		path := strings.Split(name, ".")
		if k.Fields(k.New())[name] != "" || len(path) > 2 {
			continue
		}
		sample, err := json.Marshal(probe)
		for i := len(path) - 1; i >= 0 && err == nil; i-- {
			sample, err = json.Marshal(map[string]json.RawMessage{path[i]: sample})
		}
		obj := k.New()
		if err == nil && json.Unmarshal(sample, obj) == nil && k.Fields(obj)[name] == probe {
			plain[name] = true
		}
	}
	return plain
}

// plainTerms are the requirements of a selector that names plain fields only.
func plainTerms(sel fields.Selector, plain map[string]bool) (terms []fields.Requirement, ok bool) {
	terms = sel.Requirements()
	for _, t := range terms {
		if !plain[t.Field] {
			return nil, false
		}
	}
	return terms, true
}

// meets tells whether the document meets a requirement on a plain field.
func (d *Document) meets(t fields.Requirement) bool {
	return (d.plainField(t.Field) == t.Value) == (t.Operator != operator.NotEquals)
}

// plainField reads a field, "" where it is not set. Each is looked for once,
// however many watchers ask.
func (d *Document) plainField(name string) string {
	switch name {
	case fieldName:
		_, n := splitKey(d.key)
		return n
	case fieldNamespace:
		ns, _ := splitKey(d.key)
		return ns
	}
	d.plainMu.Lock()
	defer d.plainMu.Unlock()
	if v, ok := d.plain[name]; ok {
		return v
	}
	v := d.scanField(name)
	if d.plain == nil {
		d.plain = make(map[string]string, 1)
	}
	d.plain[name] = v
	return v
}

func (d *Document) scanField(name string) string {
	first, second, nested := strings.Cut(name, ".")
	value, found := topField(d.stored, first)
	if found && nested {
		value, found = findField(value, 1, second)
	}
	if !found || len(value) < 2 || value[0] != '"' {
		return ""
	}
	if text := value[1 : len(value)-1]; !strings.ContainsRune(string(text), '\\') {
		return string(text)
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		return ""
	}
	return text
}
