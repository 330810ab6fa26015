// Command bench measures the stores: the embedded one beside etcd, through its
// own client, and beside what the disk can do, all in the same run on the same
// disk. It prints a table with ratios.
//
//	go run ./core/store/bench -dir /var/tmp
//
// etcd is the one on the PATH (Debian's package etcd-server).
package main
