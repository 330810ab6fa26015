package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// cgroupMount is where the hierarchies are: the one of version 2 itself, or a
// directory for each of version 1.
const cgroupMount = "/sys/fs/cgroup"

// removeCgroups removes the cgroups that were made for pods. Those that have
// processes belong to somebody who still runs, and stay.
func removeCgroups(root string) error {
	hierarchies, err := filepath.Glob(filepath.Join(cgroupMount, "*"))
	if err != nil {
		return err
	}
	for _, hierarchy := range append(hierarchies, cgroupMount) {
		var found []string
		err := filepath.WalkDir(filepath.Join(hierarchy, root), func(path string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err == nil && d.IsDir():
				found = append(found, path)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("looking for the pods' cgroups: %w", err)
		}
		for _, dir := range slices.Backward(found) {
			err := unix.Rmdir(dir)
			if err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("removing a cgroup: %w", &os.PathError{Op: "rmdir", Path: dir, Err: err})
			}
		}
	}
	return nil
}
