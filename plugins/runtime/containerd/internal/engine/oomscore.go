package engine

import (
	"os"
	"sort"
	"strconv"
	"strings"
)

// Bounds of oom_score_adj: proc_pid_oom_score_adj(5).
const (
	oomScoreMin = -1000
	oomScoreMax = 1000
)

// lowestOOMScore finds the least oom_score_adj that a process on this machine
// may set: without CAP_SYS_RESOURCE it is the least that an ancestor with it has
// set, which the kernel does not tell. runc fails on a lower one with an error
// that leads nobody there. The search changes the score of this process for a
// moment.
func lowestOOMScore() int {
	const file = "/proc/self/oom_score_adj"
	data, err := os.ReadFile(file)
	if err != nil {
		return oomScoreMin
	}
	own, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return oomScoreMin
	}
	allowed := func(score int) bool {
		return os.WriteFile(file, []byte(strconv.Itoa(score)), 0o644) == nil
	}
	defer allowed(own)
	if allowed(oomScoreMin) {
		return oomScoreMin
	}
	return oomScoreMin + sort.Search(oomScoreMax-oomScoreMin, func(i int) bool { return allowed(oomScoreMin + i) })
}
