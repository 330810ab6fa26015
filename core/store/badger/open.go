package badger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/pintle-io/pintle/core/store/internal/window"
)

// bookmarkEvery is how long a watch that asked for bookmarks goes without.
const bookmarkEvery = time.Minute

// Open opens the store in a directory, or makes a new one where the directory
// is empty or missing. It refuses, and says why, where another process has the
// store open, where it is damaged and where a newer release wrote it.
func Open(opts Options) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the store in %s: %w", opts.Dir, err)
	}
	lockFile, err := lock(opts.Dir)
	if err != nil {
		return nil, err
	}
	s, err := open(opts, lockFile)
	if err != nil {
		lockFile.Close()
		return nil, err
	}
	return s, nil
}

func open(opts Options, lockFile *os.File) (_ *Store, err error) {
	was, exists, err := readStamp(opts.Dir)
	if err != nil {
		return nil, err
	}
	if !exists {
		if err := mustBeEmpty(opts.Dir); err != nil {
			return nil, err
		}
	}
	if err := enoughToOpen(opts); err != nil {
		return nil, err
	}
	if exists {
		err = checkTables(opts)
	} else if err = writeStamp(opts.Dir, 0); err != nil {
		err = fmt.Errorf("making a store in %s: %w", opts.Dir, err)
	}
	if err != nil {
		return nil, err
	}
	db, err := openBadger(opts)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()

	s := &Store{
		opts:         opts,
		log:          opts.Logger,
		db:           db,
		lock:         lockFile,
		writes:       make(chan *write, queueLength),
		compactions:  make(chan *compactRequest),
		maintainSoon: make(chan struct{}, 1),
		closing:      make(chan struct{}),
		stopped:      make(chan struct{}),
	}
	if err := s.restart(was); err != nil {
		return nil, err
	}
	if s.logs, err = openLogSync(filepath.Join(opts.Dir, dbName)); err != nil {
		return nil, fmt.Errorf("opening the store in %s: %w", opts.Dir, err)
	}
	if s.metrics, err = newMetrics(s, opts.Metrics); err != nil {
		s.logs.close()
		return nil, fmt.Errorf("opening the store in %s: %w", opts.Dir, err)
	}
	s.largestCompaction.Store(largestCompaction(db.Tables()))
	s.written.note(s.visible.Load(), 0)
	s.window = window.New(window.Config{
		Limits:   window.Limits{Events: opts.Window.Events, Bytes: opts.Window.Bytes},
		History:  s.replay,
		Start:    s.visible.Load(),
		Bookmark: bookmarkEvery,
	})
	s.owned.Add(2)
	go s.commitLoop()
	go s.maintain()
	return s, nil
}

// mustBeEmpty guards against making a store of a directory that is something
// else, and against taking the remains of a store for a new one.
func mustBeEmpty(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("opening the store in %s: %w", dir, err)
	}
	for _, f := range files {
		switch f.Name() {
		case lockName, stampName + ".new":
		case dbName:
			return fmt.Errorf("%s holds a database and no file %s: it is what an unfinished restore leaves, and then can be removed, "+
				"or a store that lost the file", dir, stampName)
		default:
			return fmt.Errorf("%s holds %s and no store: choose an empty directory, or the directory of a store", dir, f.Name())
		}
	}
	return nil
}

func openBadger(opts Options) (db *badgerdb.DB, err error) {
	if err := prepareLogs(filepath.Join(opts.Dir, dbName)); err != nil {
		return nil, fmt.Errorf("opening the store in %s: %w", opts.Dir, err)
	}
	// Badger panics on some damage that it finds while opening.
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, damaged(opts.Dir, fmt.Errorf("%v", r))
		}
	}()
	db, err = badgerdb.OpenManaged(badgerOptions(opts))
	var system syscall.Errno
	if errors.As(err, &system) && system != syscall.ENOENT {
		return nil, fmt.Errorf("opening the store in %s: %w", opts.Dir, err)
	}
	if err != nil {
		return nil, damaged(opts.Dir, err)
	}
	return db, nil
}

func badgerOptions(opts Options) badgerdb.Options {
	o := badgerdb.DefaultOptions(filepath.Join(opts.Dir, dbName))
	o.Logger = badgerLogger{opts.Logger}
	o.SyncWrites = false // See logSync.
	o.DetectConflicts = false
	o.MetricsEnabled = false

	// Every version above the discard timestamp is kept; this is how many are
	// kept at or below it.
	o.NumVersionsToKeep = 1

	o.MemTableSize = opts.TableSize
	o.NumMemtables = 2
	o.NumLevelZeroTables = 3
	o.NumLevelZeroTablesStall = 8
	o.NumCompactors = 2
	// Badger keeps up to eight buffers of twice a table's size for building
	// tables, until it has built none for some seconds.
	o.BaseTableSize = 2 << 20
	o.TableSizeMultiplier = 1
	o.BaseLevelSize = 16 << 20

	// Tables are mapped and not compressed, so the page cache is the cache.
	o.Compression = options.None
	o.BlockCacheSize = 0
	// With a check of its own Badger goes on without a table that is damaged;
	// Open checks them all.
	o.ChecksumVerificationMode = options.NoVerification

	// The value log is unused, see partSize, and so the smallest that Badger
	// takes. Badger wants the threshold to fit in a transaction; what is put
	// there always does.
	o.ValueLogFileSize = 1 << 20
	o.ValueThreshold = min(1<<20, opts.TableSize*batchPercent/100)
	return o
}
