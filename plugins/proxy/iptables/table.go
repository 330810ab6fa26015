package main

import (
	"slices"
	"strings"
)

// Chains of ours begin so; everything else belongs to others.
const prefix = "PINTLE-"

// chains is the content of one netfilter table, by chain, each rule without its
// leading "-A CHAIN ".
type chains map[string][]string

func (c chains) add(chain string, rule ...string) {
	c[chain] = append(c[chain], strings.Join(rule, " "))
}

// difference is the input for iptables-restore --noflush that turns have into
// want; empty where nothing differs. Only chains that differ are mentioned: a
// chain line flushes its chain, a -X removes it once nothing calls it.
func difference(table string, have, want chains) string {
	var declare, rules, remove []string
	for chain, lines := range want {
		old, there := have[chain]
		if there && slices.Equal(old, lines) {
			continue
		}
		declare = append(declare, ":"+chain+" - [0:0]")
		for _, line := range lines {
			rules = append(rules, "-A "+chain+" "+line)
		}
	}
	for chain := range have {
		if _, wanted := want[chain]; !wanted {
			// The chain line empties it, so that removals need no order.
			declare = append(declare, ":"+chain+" - [0:0]")
			remove = append(remove, "-X "+chain)
		}
	}
	if len(declare) == 0 {
		return ""
	}
	slices.Sort(declare)
	slices.Sort(remove)
	// Rules of one chain must keep their order; chains are sorted by name.
	slices.SortStableFunc(rules, func(a, b string) int {
		return strings.Compare(chainOf(a), chainOf(b))
	})
	var b strings.Builder
	b.WriteString("*" + table + "\n")
	for _, lines := range [][]string{declare, rules, remove} {
		for _, line := range lines {
			b.WriteString(line)
			b.WriteByte('\n')
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

func chainOf(rule string) string {
	_, rest, _ := strings.Cut(rule, " ")
	chain, _, _ := strings.Cut(rest, " ")
	return chain
}

// parseSave reads the names of our chains in the output of iptables-save. Their
// rules are not compared: what iptables prints differs from what it was given,
// so a process that starts writes every chain once.
func parseSave(output string) chains {
	found := chains{}
	for line := range strings.Lines(output) {
		if rest, ok := strings.CutPrefix(line, ":"+prefix); ok {
			name, _, _ := strings.Cut(rest, " ")
			found[prefix+name] = []string{"unknown"}
		}
	}
	return found
}
