// Package plugins is how the parts of the node agent find the node's plugins.
//
// Nobody keeps a plugin: each operation asks for it, because it may have been
// restarted or swapped since the last one. A plugin that is not there now is an
// error with a message for an operator; Subscribe tells when asking again makes
// sense.
package plugins
