package request

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/fields"
)

// Verbs of the API.
const (
	VerbGet              = "get"
	VerbList             = "list"
	VerbWatch            = "watch"
	VerbCreate           = "create"
	VerbUpdate           = "update"
	VerbPatch            = "patch"
	VerbDelete           = "delete"
	VerbDeleteCollection = "deletecollection"
)

// Info is what a request is about.
type Info struct {
	// IsResource is true for /api/{version}/{resource}… and
	// /apis/{group}/{version}/{resource}…; false for everything else, such as
	// /healthz or discovery.
	IsResource bool
	// Verb is one of the verbs above, or for a path that is no resource the
	// HTTP method in lower case. Empty for a method that resources don't know.
	Verb string

	Group, Version, Namespace, Resource, Name, Subresource string
	// Rest is the path behind the subresource, without its leading slash, as
	// .../proxy/{rest} has it, and HasRest tells "…/proxy/" from "…/proxy".
	Rest    string
	HasRest bool
}

// Parse reads a request's info. query is the parsed query or nil, where it
// must be taken from the request.
func Parse(r *http.Request, query url.Values) Info {
	path := r.URL.Path
	info := Info{Verb: lowerMethod(r.Method)}

	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return info
	}
	prefix, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return info
	}
	var group string
	switch prefix {
	case "api":
	case "apis":
		if group, rest, ok = strings.Cut(rest, "/"); !ok || group == "" {
			return info
		}
	default:
		return info
	}
	version, rest, ok := strings.Cut(rest, "/")
	if !ok || version == "" || rest == "" {
		return info
	}

	info.IsResource = true
	info.Group, info.Version = group, version
	info.Verb = resourceVerb(r.Method)

	watchPrefix := false
	if after, ok := strings.CutPrefix(rest, "watch/"); ok {
		// The deprecated form /api/v1/watch/{resource}.
		rest, watchPrefix = after, true
	}

	first, rest, more := strings.Cut(rest, "/")
	if first == "namespaces" && more && rest != "" {
		namespace, after, more := strings.Cut(rest, "/")
		info.Namespace = namespace
		next, _, _ := strings.Cut(after, "/")
		if !more || next == "" || next == "status" || next == "finalize" {
			// The namespace itself, which carries its own name as namespace.
			info.Resource, info.Name = first, namespace
			info.setSubresource(after, more && next != "")
			return info.finish(r, query, watchPrefix)
		}
		first, rest, more = strings.Cut(after, "/")
	}
	info.Resource = first
	if more {
		var after string
		info.Name, after, more = strings.Cut(rest, "/")
		info.setSubresource(after, more)
	}
	return info.finish(r, query, watchPrefix)
}

func (i *Info) setSubresource(path string, present bool) {
	if !present || path == "" {
		return
	}
	i.Subresource, i.Rest, i.HasRest = strings.Cut(path, "/")
}

// finish tells collections from objects, and names the object that a list or
// watch narrows to by metadata.name, which authorization needs to know.
func (i Info) finish(r *http.Request, query url.Values, watchPrefix bool) Info {
	if watchPrefix {
		i.Verb = VerbWatch
		return i
	}
	if i.Name != "" {
		return i
	}
	switch i.Verb {
	case VerbGet:
		i.Verb = VerbList
		if r.URL.RawQuery == "" {
			return i
		}
		if query == nil {
			query = r.URL.Query()
		}
		if Bool(query["watch"]) {
			i.Verb = VerbWatch
		}
		if s := query.Get("fieldSelector"); s != "" {
			if selector, err := fields.ParseSelector(s); err == nil {
				if name, ok := selector.RequiresExactMatch("metadata.name"); ok && validSegment(name) {
					i.Name = name
				}
			}
		}
	case VerbDelete:
		i.Verb = VerbDeleteCollection
	}
	return i
}

// Bool reads a boolean query parameter as Kubernetes does: present without a
// value is true, and so is everything but "0" and "false".
func Bool(values []string) bool {
	if len(values) == 0 {
		return false
	}
	switch strings.ToLower(values[0]) {
	case "false", "0":
		return false
	}
	if v, err := strconv.ParseBool(values[0]); err == nil {
		return v
	}
	return true
}

func validSegment(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/%")
}

func resourceVerb(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead:
		return VerbGet
	case http.MethodPost:
		return VerbCreate
	case http.MethodPut:
		return VerbUpdate
	case http.MethodPatch:
		return VerbPatch
	case http.MethodDelete:
		return VerbDelete
	}
	return ""
}

// lowerMethod avoids an allocation for the methods that occur.
func lowerMethod(method string) string {
	switch method {
	case http.MethodGet:
		return "get"
	case http.MethodPost:
		return "post"
	case http.MethodHead:
		return "head"
	case http.MethodPut:
		return "put"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		return "delete"
	}
	return strings.ToLower(method)
}
