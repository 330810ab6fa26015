// Package nodetest has plugins for tests of the node agent: a runtime, a
// network and a volume type that live in memory, do what the contracts say, and
// can be made to fail, hang or die.
package nodetest
