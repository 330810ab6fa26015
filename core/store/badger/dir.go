package badger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pintle-io/pintle/core/store"
)

// A store's directory: LOCK says which process has it open, STORE what it is,
// and db is Badger's.
const (
	lockName   = "LOCK"
	stampName  = "STORE"
	dbName     = "db"
	dirFormat  = 1
	dirProduct = "pintle-store"
)

// stamp is the content of the file STORE.
type stamp struct {
	Product string `json:"product"`
	// Format is that of the directory. A store of a newer one is refused.
	Format int `json:"format"`
	// Reached is a revision that the store is known to have reached: one that
	// opens with less has lost acknowledged writes.
	Reached uint64 `json:"reached"`
}

// lock takes a directory for this process. Closing the file gives it back, as
// does the end of the process, however it ends.
func lock(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the store in %s: %w", dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking the store in %s: %w", dir, err)
		}
		holder := "another process"
		if b, err := io.ReadAll(io.LimitReader(f, 256)); err == nil && len(b) > 0 {
			holder = strings.TrimSpace(string(b))
		}
		return nil, fmt.Errorf("the store in %s is in use by %s: stop it first, or choose another directory", dir, holder)
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintf("process %d (%s)\n", os.Getpid(), filepath.Base(os.Args[0])))); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking the store in %s: %w", dir, err)
	}
	return f, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// readStamp is false where the directory holds no store yet.
func readStamp(dir string) (stamp, bool, error) {
	b, err := os.ReadFile(filepath.Join(dir, stampName))
	if errors.Is(err, fs.ErrNotExist) {
		return stamp{}, false, nil
	}
	if err != nil {
		return stamp{}, false, fmt.Errorf("opening the store in %s: %w", dir, err)
	}
	var s stamp
	if err := json.Unmarshal(b, &s); err != nil || s.Product != dirProduct {
		return stamp{}, false, damaged(dir, fmt.Errorf("%s does not describe a store", stampName))
	}
	if s.Format > dirFormat {
		return stamp{}, false, fmt.Errorf("the store in %s has format %d, and this program knows formats up to %d: "+
			"it was written by a newer release; run that one, or restore a snapshot taken with this one", dir, s.Format, dirFormat)
	}
	return s, true, nil
}

func writeStamp(dir string, reached uint64) error {
	b, err := json.Marshal(stamp{Product: dirProduct, Format: dirFormat, Reached: reached})
	if err != nil {
		return err
	}
	path := filepath.Join(dir, stampName)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func damaged(dir string, err error) error {
	return fmt.Errorf("the store in %s is %w: %w; move it away and restore a snapshot in its place", dir, store.ErrDamaged, err)
}
