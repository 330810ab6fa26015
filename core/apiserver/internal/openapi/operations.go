package openapi

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/apiserver/internal/discovery"
	"github.com/pintle-io/pintle/core/registry"
)

// param is one query or path parameter.
type param struct{ name, in, kind, description string }

func text(name, description string) param   { return param{name, "query", "string", description} }
func flag(name, description string) param   { return param{name, "query", "boolean", description} }
func number(name, description string) param { return param{name, "query", "integer", description} }

var (
	nameParam      = param{"name", "path", "string", "name of the object"}
	namespaceParam = param{"namespace", "path", "string", "object name and auth scope, such as for teams and projects"}
	prettyParam    = text("pretty", "If 'true', then the output is pretty printed.")

	writeParams = []param{
		text("dryRun", "When present, indicates that modifications should not be persisted. An invalid or unrecognized dryRun directive will result in an error response and no further processing of the request. Valid values are: - All: all dry run stages will be processed"),
		text("fieldManager", "fieldManager is a name associated with the actor or entity that is making these changes. The value must be less than or 128 characters long, and only contain printable characters."),
		text("fieldValidation", "fieldValidation instructs the server on how to handle objects in the request containing unknown or duplicate fields. Valid values are: - Ignore - Warn (the default) - Strict"),
	}
	forceParam = flag("force", "Force is going to \"force\" Apply requests. It means user will re-acquire conflicting fields owned by other people. Force flag must be unset for non-apply patch requests.")

	listParams = []param{
		flag("allowWatchBookmarks", "allowWatchBookmarks requests watch events with type \"BOOKMARK\"."),
		text("continue", "The continue option should be set when retrieving more results from the server."),
		text("fieldSelector", "A selector to restrict the list of returned objects by their fields. Defaults to everything."),
		text("labelSelector", "A selector to restrict the list of returned objects by their labels. Defaults to everything."),
		number("limit", "limit is a maximum number of responses to return for a list call."),
		text("resourceVersion", "resourceVersion sets a constraint on what resource versions a request may be served from."),
		text("resourceVersionMatch", "resourceVersionMatch determines how resourceVersion is applied to list calls."),
		flag("sendInitialEvents", "sendInitialEvents=true may be set together with watch=true."),
		number("timeoutSeconds", "Timeout for the list/watch call."),
		flag("watch", "Watch for changes to the described resources and return them as a stream of add, update, and remove notifications."),
	}
	deleteParams = []param{
		writeParams[0],
		number("gracePeriodSeconds", "The duration in seconds before the object should be deleted."),
		flag("orphanDependents", "Deprecated: please use the PropagationPolicy."),
		text("propagationPolicy", "Whether and how garbage collection will be performed."),
	}
)

// operation is what one method of a path does.
type operation struct {
	method, action, description string
	kind                        schema.GroupVersionKind
	params                      []param
	// body and answer are names of definitions; body may be empty.
	body, answer string
	code         string
	// consumes are the content types of a body that is no object.
	consumes []string
}

// path is one path with what can be done there.
type path struct {
	path       string
	params     []param
	operations []operation
}

const anyPatch = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"

var patchTypes = []string{
	"application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
}

// names of the definitions that a kind's paths use.
type names struct{ object, list, status, deleteOptions string }

// kindPaths lists the paths of a kind.
func kindPaths(k *registry.Kind, n names, subresource func(schema.GroupVersionKind) string) []path {
	base := "/apis/" + k.GVK.GroupVersion().String() + "/"
	if k.GVK.Group == "" {
		base = "/api/" + k.GVK.Version + "/"
	}
	scope := []param{}
	root := base
	if k.Namespaced {
		root += "namespaces/{namespace}/"
		scope = append(scope, namespaceParam)
	}
	collection := path{root + k.Resource, append(scope, prettyParam), []operation{
		{"get", "list", "list or watch objects of kind " + k.GVK.Kind, k.GVK, listParams, "", n.list, "200", nil},
		{"post", "post", "create " + article(k.GVK.Kind), k.GVK, writeParams, n.object, n.object, "201", nil},
		{"delete", "deletecollection", "delete collection of " + k.GVK.Kind, k.GVK, append(listParams[1:7:7], deleteParams...), n.deleteOptions, n.status, "200", nil},
	}}
	item := path{root + k.Resource + "/{name}", append(append([]param{nameParam}, scope...), prettyParam),
		append(stateOperations("the specified "+k.GVK.Kind, k.GVK, n.object),
			operation{"delete", "delete", "delete " + article(k.GVK.Kind), k.GVK, deleteParams, n.deleteOptions, n.status, "200", nil})}
	paths := []path{collection, item}
	if k.Namespaced {
		paths = append(paths, path{base + k.Resource, []param{prettyParam}, collection.operations[:1]})
	}
	for _, sub := range discovery.Subresources(k) {
		p := path{path: item.path + "/" + sub.Name, params: item.params}
		answer := subresource(sub.GVK)
		switch sub.Name {
		case "status", "scale":
			p.operations = stateOperations(sub.Name+" of the specified "+k.GVK.Kind, sub.GVK, answer)
		case "finalize":
			p.operations = []operation{{"put", "put", "replace finalize of the specified " + k.GVK.Kind, sub.GVK, writeParams, answer, answer, "200", nil}}
		case "binding", "eviction":
			p.operations = []operation{{"post", "post", "create " + sub.Name + " of " + article(k.GVK.Kind), sub.GVK, writeParams, answer, answer, "201", nil}}
		default:
			p.operations = []operation{{"get", "connect", "connect requests to " + sub.Name + " of " + k.GVK.Kind, sub.GVK, nil, "", "", "200", nil}}
		}
		paths = append(paths, p)
	}
	return paths
}

func stateOperations(of string, gvk schema.GroupVersionKind, object string) []operation {
	return []operation{
		{"get", "get", "read " + of, gvk, nil, "", object, "200", nil},
		{"put", "put", "replace " + of, gvk, writeParams, object, object, "200", nil},
		{"patch", "patch", "partially update " + of, gvk, append(writeParams[:3:3], forceParam), anyPatch, object, "200", patchTypes},
	}
}

func article(kind string) string {
	if strings.ContainsRune("AEIOU", rune(kind[0])) {
		return "an " + kind
	}
	return "a " + kind
}
