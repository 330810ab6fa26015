// Package e2e tries Pintle as its users do: the built programs, real
// containers, real packets, and an unmodified kubectl.
//
// Every node under test lives in a network namespace that the test makes, on a
// bridge of its own with no way out of the machine. What a test started it ends
// by process ID, also when it fails, and its last check is that nothing is left.
// The tests need root and the packages that "make deps-test" installs; without
// them they fail.
package e2e
