package openapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/registry"
)

// object is a JSON object that has no type worth making.
type object = map[string]any

// document describes the kinds of one group version, or all for v2.
func document(kinds *registry.Registry, version string, v3 bool, only *schema.GroupVersion) ([]byte, error) {
	g := &generator{v3: v3, definitions: map[string]*Schema{}, prefixes: prefixes(kinds)}
	define := func(t reflect.Type) (string, error) {
		if _, err := g.ref(t); err != nil {
			return "", err
		}
		return g.name(t), nil
	}
	var n names
	var err error
	if n.status, err = define(reflect.TypeFor[metav1.Status]()); err != nil {
		return nil, err
	}
	if n.deleteOptions, err = define(reflect.TypeFor[metav1.DeleteOptions]()); err != nil {
		return nil, err
	}
	g.definitions[anyPatch] = &Schema{Type: "object", Description: metav1.Patch{}.SwaggerDoc()[""]}

	paths := object{}
	for _, k := range kinds.Kinds() {
		if only != nil && k.GVK.GroupVersion() != *only {
			continue
		}
		if n.object, err = define(elem(k.New())); err != nil {
			return nil, err
		}
		if n.list, err = define(elem(k.NewList())); err != nil {
			return nil, err
		}
		g.definitions[n.object].GVKs = appendGVK(g.definitions[n.object].GVKs, k.GVK)
		g.definitions[n.list].GVKs = appendGVK(g.definitions[n.list].GVKs, k.ListGVK())
		var failed error
		sub := func(gvk schema.GroupVersionKind) string {
			if gvk == k.GVK {
				return n.object
			}
			obj, err := kinds.Scheme().New(gvk)
			if err != nil {
				return "" // connect options have no body
			}
			name, err := define(elem(obj))
			if err != nil {
				failed = err
				return ""
			}
			g.definitions[name].GVKs = appendGVK(g.definitions[name].GVKs, gvk)
			return name
		}
		for _, p := range kindPaths(k, n, sub) {
			paths[p.path] = g.pathItem(p, k)
		}
		if failed != nil {
			return nil, failed
		}
	}
	info := object{"title": "Kubernetes", "version": version}
	doc := object{"info": info, "paths": paths}
	if v3 {
		doc["openapi"] = "3.0.0"
		doc["components"] = object{"schemas": g.definitions}
	} else {
		doc["swagger"] = "2.0"
		doc["definitions"] = g.definitions
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	return raw, nil
}

func appendGVK(list []gvk, k schema.GroupVersionKind) []gvk {
	for _, have := range list {
		if have == gvkOf(k) {
			return list
		}
	}
	return append(list, gvkOf(k))
}

func elem(obj any) reflect.Type { return reflect.TypeOf(obj).Elem() }

// prefixes name the packages of kinds whose types do not name themselves after
// their group, as Kubernetes names the types of custom resources.
func prefixes(kinds *registry.Registry) map[string]string {
	m := map[string]string{}
	for _, k := range kinds.Kinds() {
		obj := k.New()
		if _, ok := obj.(named); !ok && k.GVK.Group != "" {
			m[elem(obj).PkgPath()] = reverse(k.GVK.Group) + "." + k.GVK.Version
		}
	}
	return m
}

func (g *generator) pathItem(p path, k *registry.Kind) object {
	item := object{}
	if params := g.params(p.params); len(params) > 0 {
		item["parameters"] = params
	}
	for _, op := range p.operations {
		item[op.method] = g.operation(op, p, k)
	}
	return item
}

func (g *generator) params(params []param) []object {
	var list []object
	for _, p := range params {
		o := object{"name": p.name, "in": p.in, "description": p.description}
		if p.in == "path" {
			o["required"] = true
		}
		if g.v3 {
			o["schema"] = object{"type": p.kind, "uniqueItems": true}
		} else {
			o["type"], o["uniqueItems"] = p.kind, true
		}
		list = append(list, o)
	}
	return list
}

var objectTypes = []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"}

func (g *generator) operation(op operation, p path, k *registry.Kind) object {
	o := object{
		"description":                     op.description,
		"operationId":                     operationID(op, p, k),
		"tags":                            []string{tag(k.GVK.GroupVersion())},
		"x-kubernetes-action":             op.action,
		"x-kubernetes-group-version-kind": gvkOf(op.kind),
	}
	params := g.params(op.params)
	if op.body != "" {
		ref := object{"$ref": g.refPrefix() + op.body}
		types := op.consumes
		if types == nil {
			types = []string{"*/*"}
		}
		if g.v3 {
			o["requestBody"] = object{"content": content(types, ref), "required": op.method != "delete"}
		} else {
			o["consumes"] = types
			params = append(params, object{"name": "body", "in": "body", "required": op.method != "delete", "schema": ref})
		}
	}
	if len(params) > 0 {
		o["parameters"] = params
	}
	ok := object{"description": "OK"}
	if op.answer != "" {
		ref := object{"$ref": g.refPrefix() + op.answer}
		if g.v3 {
			ok["content"] = content(objectTypes, ref)
		} else {
			ok["schema"] = ref
			o["produces"] = objectTypes
		}
	}
	o["responses"] = object{op.code: ok, "401": object{"description": "Unauthorized"}}
	return o
}

func content(types []string, ref object) object {
	c := object{}
	for _, t := range types {
		c[t] = object{"schema": ref}
	}
	return c
}

func tag(gv schema.GroupVersion) string {
	group, _, _ := strings.Cut(gv.Group, ".")
	if group == "" {
		group = "core"
	}
	return group + "_" + gv.Version
}

// operationID is unique among all operations.
func operationID(op operation, p path, k *registry.Kind) string {
	var id strings.Builder
	id.WriteString(op.action)
	for part := range strings.SplitSeq(tag(k.GVK.GroupVersion()), "_") {
		id.WriteString(title(part))
	}
	for part := range strings.SplitSeq(p.path, "/") {
		switch part {
		case "{namespace}":
			id.WriteString("Namespaced")
		case "{name}":
			id.WriteString("Named")
		}
	}
	id.WriteString(k.GVK.Kind)
	if _, sub, ok := strings.Cut(p.path, "{name}/"); ok {
		id.WriteString(title(sub))
	} else if op.action == "list" && k.Namespaced && !strings.Contains(p.path, "{namespace}") {
		id.WriteString("ForAllNamespaces")
	}
	return id.String()
}

func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
