// Package looptest gives tests of loops a real API over a real store, and runs
// loops on it.
package looptest
