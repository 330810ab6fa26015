package volume

import (
	"path/filepath"

	"github.com/pintle-io/pintle/sdk/errs"
)

// check refuses what no node agent sends, so that no author has to: an ID that
// could not be part of a file name, a target that is not a clean absolute path.
func check(id, target string) error {
	switch {
	case id == "":
		return errs.InvalidArgument("volume_id is empty")
	case id == "." || id == ".." || filepath.Base(id) != id:
		return errs.InvalidArgument("volume_id %q is not usable as a file name", id)
	case len(id) > 255:
		return errs.InvalidArgument("volume_id has %d bytes: at most 255 are allowed", len(id))
	case !filepath.IsAbs(target) || filepath.Clean(target) != target || target == "/":
		return errs.InvalidArgument("target_path %q is not a clean absolute path below /", target)
	}
	return nil
}
