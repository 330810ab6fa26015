// Package hosted gives the node agent the plugins that the plugin manager runs
// on its node.
package hosted
