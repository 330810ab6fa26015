package openapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Schema is the part of a JSON schema that Kubernetes' types need, in the
// common form of both versions.
type Schema struct {
	Description          string             `json:"description,omitempty"`
	Type                 string             `json:"type,omitempty"`
	Format               string             `json:"format,omitempty"`
	Default              any                `json:"default,omitempty"`
	Ref                  string             `json:"$ref,omitempty"`
	AllOf                []*Schema          `json:"allOf,omitempty"`
	OneOf                []*Schema          `json:"oneOf,omitempty"`
	Items                *Schema            `json:"items,omitempty"`
	AdditionalProperties *Schema            `json:"additionalProperties,omitempty"`
	Properties           map[string]*Schema `json:"properties,omitempty"`
	Required             []string           `json:"required,omitempty"`

	GVKs          []gvk    `json:"x-kubernetes-group-version-kind,omitempty"`
	ListType      string   `json:"x-kubernetes-list-type,omitempty"`
	ListMapKeys   []string `json:"x-kubernetes-list-map-keys,omitempty"`
	MapType       string   `json:"x-kubernetes-map-type,omitempty"`
	PatchStrategy string   `json:"x-kubernetes-patch-strategy,omitempty"`
	PatchMergeKey string   `json:"x-kubernetes-patch-merge-key,omitempty"`
}

type gvk struct {
	Group   string `json:"group"`
	Kind    string `json:"kind"`
	Version string `json:"version"`
}

func gvkOf(k schema.GroupVersionKind) gvk {
	return gvk{Group: k.Group, Kind: k.Kind, Version: k.Version}
}

// generator collects the definitions that types need.
type generator struct {
	v3          bool
	definitions map[string]*Schema
	// prefixes name the types of packages that have no names of their own.
	prefixes map[string]string
}

func (g *generator) refPrefix() string {
	if g.v3 {
		return "#/components/schemas/"
	}
	return "#/definitions/"
}

// Types with an encoding of their own say so by these methods.
type (
	typed     interface{ OpenAPISchemaType() []string }
	formatted interface{ OpenAPISchemaFormat() string }
	oneOf     interface{ OpenAPIV3OneOfTypes() []string }
	named     interface{ OpenAPIModelName() string }
	described interface{ SwaggerDoc() map[string]string }
)

// name of a struct type's definition.
func (g *generator) name(t reflect.Type) string {
	if n, ok := reflect.New(t).Interface().(named); ok {
		return n.OpenAPIModelName()
	}
	if prefix, ok := g.prefixes[t.PkgPath()]; ok {
		return prefix + "." + t.Name()
	}
	// k8s.io/api/core/v1.Pod is io.k8s.api.core.v1.Pod.
	host, path, _ := strings.Cut(t.PkgPath(), "/")
	return reverse(host) + "." + strings.ReplaceAll(path, "/", ".") + "." + t.Name()
}

func reverse(host string) string {
	parts := strings.Split(host, ".")
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return strings.Join(parts, ".")
}

// ref returns a reference to the type's definition, which it makes first.
func (g *generator) ref(t reflect.Type) (*Schema, error) {
	name := g.name(t)
	if _, made := g.definitions[name]; !made {
		s := &Schema{}
		g.definitions[name] = s // a type may contain itself
		if err := g.define(s, t); err != nil {
			return nil, fmt.Errorf("describe %s: %w", name, err)
		}
	}
	return &Schema{Ref: g.refPrefix() + name}, nil
}

// define fills the schema of a named type.
func (g *generator) define(s *Schema, t reflect.Type) error {
	value := reflect.New(t).Interface()
	var docs map[string]string
	if d, ok := value.(described); ok {
		docs = d.SwaggerDoc()
	}
	s.Description = docs[""]
	if own, ok := value.(typed); ok {
		g.own(s, value, own)
		return nil
	}
	s.Type = "object"
	s.MapType = atomicStructs[t.Name()]
	if _, custom := value.(json.Marshaler); custom {
		return nil // such as FieldsV1: any object
	}
	s.Properties = map[string]*Schema{}
	return g.fields(s, t, docs)
}

// own describes a type that encodes itself.
func (g *generator) own(s *Schema, value any, own typed) {
	if f, ok := value.(formatted); ok {
		s.Format = f.OpenAPISchemaFormat()
	}
	if one, ok := value.(oneOf); ok && g.v3 {
		for _, t := range one.OpenAPIV3OneOfTypes() {
			s.OneOf = append(s.OneOf, &Schema{Type: t})
		}
		return
	}
	if types := own.OpenAPISchemaType(); len(types) > 0 {
		s.Type = types[0]
	}
}

// fields describes the fields of a struct, embedded ones as its own.
func (g *generator) fields(s *Schema, t reflect.Type, docs map[string]string) error {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if f.Anonymous && name == "" {
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			embedded := docs
			if d, ok := reflect.New(inner).Interface().(described); ok {
				embedded = d.SwaggerDoc()
			}
			if err := g.fields(s, inner, embedded); err != nil {
				return err
			}
			continue
		}
		p, err := g.of(f.Type)
		if err != nil {
			return fmt.Errorf("field %s: %w", name, err)
		}
		mark(p, t, name, f)
		if p.Ref != "" && g.v3 && (docs[name] != "" || p.PatchStrategy != "") {
			// Beside a reference nothing else counts in OpenAPI v3.
			p.AllOf, p.Ref = []*Schema{{Ref: p.Ref}}, ""
		}
		p.Description = docs[name]
		s.Properties[name] = p
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") && f.Type.Kind() != reflect.Pointer {
			s.Required = append(s.Required, name)
		}
	}
	return nil
}

// of describes a type where it is used.
func (g *generator) of(t reflect.Type) (*Schema, error) {
	switch t.Kind() {
	case reflect.Pointer:
		return g.of(t.Elem())
	case reflect.Struct:
		return g.ref(t)
	case reflect.String:
		return &Schema{Type: "string"}, nil
	case reflect.Bool:
		return &Schema{Type: "boolean"}, nil
	case reflect.Int32, reflect.Int16, reflect.Int8, reflect.Uint16, reflect.Uint8:
		return &Schema{Type: "integer", Format: "int32"}, nil
	case reflect.Int64, reflect.Int, reflect.Uint32, reflect.Uint64:
		return &Schema{Type: "integer", Format: "int64"}, nil
	case reflect.Float32:
		return &Schema{Type: "number", Format: "float"}, nil
	case reflect.Float64:
		return &Schema{Type: "number", Format: "double"}, nil
	case reflect.Interface:
		return &Schema{Type: "object"}, nil
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return &Schema{Type: "string", Format: "byte"}, nil
		}
		items, err := g.of(t.Elem())
		if err != nil {
			return nil, err
		}
		return &Schema{Type: "array", Items: items}, nil
	case reflect.Map:
		values, err := g.of(t.Elem())
		if err != nil {
			return nil, err
		}
		return &Schema{Type: "object", AdditionalProperties: values}, nil
	}
	return nil, fmt.Errorf("no JSON schema for %s", t)
}
