// Command runtimeprobe is what the containers of the runtime's conformance
// suite run: one static program that does, by name, what a check looks at.
//
//	exit CODE               ends at once
//	sleep                   prints "ready"; until killed, SIGTERM has no effect
//	until-signal NAME CODE  prints "ready", ends with CODE at that signal
//	print OUT ERR           prints to both streams
//	lines N BYTES           prints N numbered lines of that length
//	lines-slowly N MS       prints N numbered lines with a pause after each
//	cat                     copies input to output
//	terminal                prints whether there is one and its size, at start
//	                        and at each change
//	allocate MIB            uses that much memory
//	fork-allocate MIB       has a child use it, and goes on
//	id                      prints user, group, groups, capabilities,
//	                        no_new_privs and seccomp
//	hostname                prints it
//	env NAME                prints a variable
//	read FILE               prints a file
//	write FILE TEXT         writes one
//	list DIR                prints the names in it
//	listen-local            listens on loopback and connects to itself
//	namespaces              prints the identity of its namespaces
//	shm-write NAME TEXT     a file in /dev/shm; shm-read NAME prints it
package main
