// Package controlplane joins the plugin host with the loop runner: it gives
// every scheduler and controller that runs a loop of its own, and on a swap
// hands the loop from one instance to the next. It also knows which plugins a
// new cluster begins with.
package controlplane
