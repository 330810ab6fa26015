// Package machine reads what this machine is and how much of it is used: from
// /proc, /sys, /etc/os-release and statfs.
package machine
