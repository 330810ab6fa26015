package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// Info is what can be said of a store without opening it.
type Info struct {
	// Format is that of the directory.
	Format int
	// Reached is a revision that the store has reached at least: exactly the
	// newest one where it was closed.
	Reached uint64
	// Bytes is the size of its files.
	Bytes int64
}

// Inspect describes the store in a directory, which another process may have
// open.
func Inspect(dir string) (Info, error) {
	s, exists, err := readStamp(dir)
	if err != nil {
		return Info{}, err
	}
	if !exists {
		return Info{}, fmt.Errorf("%s holds no store", dir)
	}
	info := Info{Format: s.Format, Reached: s.Reached}
	err = filepath.WalkDir(filepath.Join(dir, dbName), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		file, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // It was compacted away meanwhile.
		}
		if err == nil {
			info.Bytes += file.Size()
		}
		return err
	})
	if err != nil {
		return Info{}, fmt.Errorf("looking at the store in %s: %w", dir, err)
	}
	return info, nil
}
