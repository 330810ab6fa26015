package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/volume"
)

// blockSize is the unit of st_blocks, see inode(7).
const blockSize = 512

// Usage is what the tmpfs says of itself; on disk, where there is no quota,
// the blocks of every file are added up.
func (emptyDir) Usage(ctx context.Context, req *volume.UsageRequest) (*volume.UsageResponse, error) {
	dir := dataDir(req.GetTargetPath())
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil, errs.NotFound("volume %s is not mounted", req.GetVolumeId())
		}
		return nil, fmt.Errorf("asking for the usage of %s: %w", dir, err)
	}
	size := uint64(st.Bsize)
	mounted, err := isMounted(dir)
	if err != nil {
		return nil, err
	}
	if mounted {
		return &volume.UsageResponse{
			UsedBytes: (st.Blocks - st.Bfree) * size, CapacityBytes: st.Blocks * size,
			AvailableBytes: st.Bavail * size, UsedInodes: st.Files - st.Ffree,
		}, nil
	}
	used := &volume.UsageResponse{AvailableBytes: st.Bavail * size}
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var info unix.Stat_t
		// Files come and go while the pod works.
		if err != nil || unix.Lstat(path, &info) != nil {
			return nil
		}
		used.UsedInodes++
		used.UsedBytes += uint64(info.Blocks) * blockSize
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("adding up the files of %s: %w", dir, err)
	}
	return used, nil
}
