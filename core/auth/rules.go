package auth

import "strings"

// Allows tells whether the rule allows a request.
func (r Rule) Allows(a Attributes) bool {
	return (r.Group == "*" || r.Group == a.Group) &&
		contains(r.Verbs, a.Verb) && r.covers(a.Resource, a.Subresource)
}

func (r Rule) covers(resource, subresource string) bool {
	for _, want := range r.Resources {
		switch {
		case want == "*":
			return true
		case subresource == "":
			if want == resource {
				return true
			}
		case want == resource+"/"+subresource, want == "*/"+subresource, want == resource+"/*":
			return true
		}
	}
	return false
}

func contains(list []string, want string) bool {
	for _, s := range list {
		if s == "*" || s == want {
			return true
		}
	}
	return false
}

func discoveryPath(path string) bool {
	for _, root := range []string{"/api", "/apis", "/openapi"} {
		if path == root || strings.HasPrefix(path, root+"/") {
			return true
		}
	}
	return false
}
