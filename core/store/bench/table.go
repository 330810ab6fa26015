package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// table collects rows as they are measured.
type table struct{ rows [][5]string }

func newTable() *table {
	t := &table{}
	t.row("what", "ours", "etcd", "ratio", "")
	t.row("---", "---", "---", "---", "")
	return t
}

func (t *table) row(cells ...string) {
	var r [5]string
	copy(r[:], cells)
	t.rows = append(t.rows, r)
}

// rates is a row where more is better.
func (t *table) rates(what string, ours, peer float64) {
	t.row(what, fmt.Sprintf("%.0f/s", ours), fmt.Sprintf("%.0f/s", peer), fmt.Sprintf("%.1fx", ours/peer))
}

// latencies are two rows where less is better.
func (t *table) latencies(what string, ours, peer latency) {
	row := func(name string, a, b time.Duration) {
		t.row(what+", "+name, a.Round(time.Microsecond).String(), b.Round(time.Microsecond).String(), fmt.Sprintf("%.1fx", float64(b)/float64(a)))
	}
	row("p50", ours.p50, peer.p50)
	row("p99", ours.p99, peer.p99)
}

func (t *table) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	for _, r := range t.rows {
		fmt.Fprintf(tw, "| %s\t| %s\t| %s\t| %s\t|\n", r[0], r[1], r[2], r[3])
	}
	tw.Flush()
}
