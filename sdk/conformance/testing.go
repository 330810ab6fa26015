package conformance

import (
	"testing"
)

// Test runs the checks as subtests, one a check, named by its id; go test's -run
// selects among them as usual.
func Test(t *testing.T, opts Options) {
	t.Helper()
	err := withTarget(t.Context(), opts, func(target *Target) {
		for _, check := range Checks(target.description.GetType()) {
			if opts.Select != nil && !opts.Select(check.ID) {
				continue
			}
			t.Run(check.ID, func(t *testing.T) {
				switch result := runCheck(t.Context(), check, target); result.Outcome {
				case Pass:
				case Skipped:
					t.Skipf("%s\nskipped: %s", result.Sentence, result.Detail)
				case Fail:
					t.Errorf("%s\n%s", result.Sentence, result.Detail)
				}
			})
		}
	})
	if err != nil {
		t.Fatalf("%s\n%v", startCheck.Sentence, err)
	}
}
