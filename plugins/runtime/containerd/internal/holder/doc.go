// Package holder makes the program that is the first process of a process
// namespace which containers share. It ignores SIGCHLD, so that the kernel
// reaps what is orphaned, and waits for ever. It is 160 bytes of code for the
// bare kernel, needs no file beside itself and takes one page of memory.
package holder
