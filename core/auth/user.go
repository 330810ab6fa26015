package auth

import (
	"context"
	"slices"
	"strings"
)

// Well-known users and groups. They are Kubernetes' own names.
const (
	// GroupMasters may do everything.
	GroupMasters = "system:masters"
	// GroupAuthenticated and GroupUnauthenticated split all requests in two.
	GroupAuthenticated   = "system:authenticated"
	GroupUnauthenticated = "system:unauthenticated"
	// GroupNodes is that of node agents.
	GroupNodes = "system:nodes"
	// GroupPlugins is that of control-plane plugins, whose decisions the loop
	// runner applies in their name.
	GroupPlugins = "system:plugins"
	// GroupBootstrappers is that of a machine which holds a token and is about
	// to become a node.
	GroupBootstrappers = "system:bootstrappers"

	// UserAnonymous made a request without credentials.
	UserAnonymous = "system:anonymous"
	// UserAPIServer is the API server as a client of the node agents.
	UserAPIServer = "system:apiserver"
	// UserAdmin is the one in the kubeconfig of the machine's owner.
	UserAdmin = "pintle-admin"

	nodePrefix   = "system:node:"
	pluginPrefix = "system:plugin:"
	systemPrefix = "system:pintle:"
)

// User is who makes a request.
type User struct {
	Name   string
	UID    string
	Groups []string
	Extra  map[string][]string
}

// Anonymous is the user of a request without credentials.
func Anonymous() User {
	return User{Name: UserAnonymous, Groups: []string{GroupUnauthenticated}}
}

// Node is the user of a node's agent.
func Node(name string) User {
	return User{Name: nodePrefix + name, Groups: []string{GroupNodes, GroupAuthenticated}}
}

// Plugin is the user of a control-plane plugin's decisions.
func Plugin(pluginType, name string) User {
	return User{Name: pluginPrefix + pluginType + ":" + name, Groups: []string{GroupPlugins, GroupAuthenticated}}
}

// System is the user of a part of the core itself, such as its housekeeping
// loops. It may do everything; the part's name is for logs and managed fields.
func System(part string) User {
	return User{Name: systemPrefix + part, Groups: []string{GroupMasters, GroupAuthenticated}}
}

// Admin is the machine's owner.
func Admin() User {
	return User{Name: UserAdmin, Groups: []string{GroupMasters, GroupAuthenticated}}
}

// InGroup tells whether the user is a member.
func (u User) InGroup(group string) bool { return slices.Contains(u.Groups, group) }

// NodeName returns the node whose agent the user is.
func (u User) NodeName() (string, bool) {
	name, ok := strings.CutPrefix(u.Name, nodePrefix)
	return name, ok && name != "" && u.InGroup(GroupNodes)
}

// PluginName returns the plugin that the user is.
func (u User) PluginName() (pluginType, name string, ok bool) {
	rest, ok := strings.CutPrefix(u.Name, pluginPrefix)
	if !ok || !u.InGroup(GroupPlugins) {
		return "", "", false
	}
	pluginType, name, ok = strings.Cut(rest, ":")
	return pluginType, name, ok && pluginType != "" && name != ""
}

type userKey struct{}

// WithUser puts the user of a request in its context.
func WithUser(ctx context.Context, u User) context.Context {
	return context.WithValue(ctx, userKey{}, u)
}

// UserFrom returns the user of a request: the anonymous one where the context
// carries none.
func UserFrom(ctx context.Context) User {
	if u, ok := ctx.Value(userKey{}).(User); ok {
		return u
	}
	return Anonymous()
}
