package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	badgerdb "github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

// logSync syncs Badger's write-ahead log. Badger's own SyncWrites does so too,
// and then syncs the value log for each batch, which has nothing in it: a
// quarter of the time that a batch takes. Only the committer uses it.
//
// Badger writes to the log with the highest number, NNNNN.mem, and goes on to
// the next one between two transactions, never within one. Every batch is
// synced before the next is written, so the newest log is the only one that can
// have something that is not on disk.
type logSync struct {
	dir    string
	number int
	file   *os.File
}

func openLogSync(dir string) (*logSync, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return nil, err
	}
	l := &logSync{dir: dir, number: -1}
	for _, name := range names {
		n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(name), ".mem"))
		if err != nil {
			return nil, err
		}
		l.number = max(l.number, n)
	}
	if l.file, err = os.OpenFile(l.path(l.number), os.O_RDWR, 0); err != nil {
		return nil, err
	}
	return l, syncDir(dir)
}

func (l *logSync) path(number int) string {
	return filepath.Join(l.dir, fmt.Sprintf("%05d.mem", number))
}

// sync returns once everything that was written to the log is on disk.
func (l *logSync) sync() error {
	for {
		f, err := os.OpenFile(l.path(l.number+1), os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		l.file.Close()
		l.file, l.number = f, l.number+1
		if err := syncDir(l.dir); err != nil {
			return err
		}
	}
	if err := unix.Fdatasync(int(l.file.Fd())); err != nil {
		return &os.PathError{Op: "fdatasync", Path: l.file.Name(), Err: err}
	}
	return nil
}

func (l *logSync) close() error { return l.file.Close() }

// prepareLogs makes a directory's logs fit to be opened.
//
// One without content is removed, since Badger takes it for an error: a crash
// cut its making short, or its removal, since Badger empties a log before it
// removes it. The others are synced: what the process before wrote and did not
// sync will be read from the page cache and shown, and must then stay.
func prepareLogs(dir string) error {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if ext := filepath.Ext(path); ext != ".mem" && ext != ".vlog" {
			continue
		}
		info, err := f.Info()
		if err != nil {
			return err
		}
		if info.Size() == 0 {
			err = os.Remove(path)
		} else {
			err = syncFile(path)
		}
		if err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// commit commits a transaction of the committer's and returns once it is on
// disk.
func (s *Store) commit(txn *badgerdb.Txn, version uint64) error {
	if err := txn.CommitAt(version, nil); err != nil {
		return err
	}
	return s.logs.sync()
}
