package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	badgerdb "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// checkTables looks at the tables of a store that is there before Badger does:
// Badger makes an empty database where its list of tables is missing, and ends
// the process where a table is cut.
func checkTables(opts Options) error {
	dir := filepath.Join(opts.Dir, dbName)
	f, err := os.Open(filepath.Join(dir, badgerdb.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) && neverOpened(dir) {
		return nil // The first start was cut short.
	}
	if err != nil {
		return damaged(opts.Dir, fmt.Errorf("opening its list of tables: %w", err))
	}
	defer f.Close()
	manifest, _, err := badgerdb.ReplayManifestFile(f, 0, badgerOptions(opts))
	if err != nil {
		return damaged(opts.Dir, fmt.Errorf("reading its list of tables: %w", err))
	}
	for id := range manifest.Tables {
		path := table.NewFilename(id, dir)
		if err := checkTable(path); err != nil {
			return damaged(opts.Dir, fmt.Errorf("table %s: %w", filepath.Base(path), err))
		}
	}
	return nil
}

// neverOpened is true where Badger had not come to make a log yet, which it does
// after its list of tables.
func neverOpened(dir string) bool {
	for _, pattern := range []string{"*.mem", "*.sst"} {
		if found, err := filepath.Glob(filepath.Join(dir, pattern)); err != nil || len(found) > 0 {
			return false
		}
	}
	return true
}

var errCutTable = errors.New("it is cut short or overwritten")

// checkTable checks a table's index. Its file ends in the index, the index's
// length, a checksum and its length, as badger/v4/table writes them.
func checkTable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	// before returns the n bytes that precede what was read last.
	before := func(n int64) ([]byte, error) {
		if n < 0 || n > end {
			return nil, errCutTable
		}
		end -= n
		b := make([]byte, n)
		_, err := f.ReadAt(b, end)
		return b, err
	}
	beforeSized := func() ([]byte, error) {
		b, err := before(4)
		if err != nil {
			return nil, err
		}
		return before(int64(binary.BigEndian.Uint32(b)))
	}
	sum, err := beforeSized()
	if err != nil {
		return err
	}
	var checksum pb.Checksum
	if err := proto.Unmarshal(sum, &checksum); err != nil {
		return errCutTable
	}
	index, err := beforeSized()
	if err != nil {
		return err
	}
	if len(index) == 0 {
		return errCutTable
	}
	return y.VerifyChecksum(index, &checksum)
}
