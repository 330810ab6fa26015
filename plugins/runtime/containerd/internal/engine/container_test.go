package engine

import (
	"testing"

	"github.com/pintle-io/pintle/sdk/runtime"
)

func TestRunsToItsEnd(t *testing.T) {
	n := newNode(t)
	s := n.sandbox(nil)
	c := n.end(n.run(s, nil, nil))
	if c.GetExitCode() != 0 || c.GetReason() != runtime.ReasonCompleted {
		t.Errorf("exit code %d, reason %s: %s", c.GetExitCode(), c.GetReason(), c.GetMessage())
	}
	if out, err := n.log(c, "stdout"), n.log(c, "stderr"); out != "hello\n" || err != "there\n" {
		t.Errorf("log: stdout %q, stderr %q", out, err)
	}
}
