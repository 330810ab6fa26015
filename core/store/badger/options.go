package badger

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options configure a store. The zero value of each but Dir takes the default
// that its comment gives.
type Options struct {
	// Dir holds the store and nothing else. It is created where it is missing.
	Dir string
	// Logger is where the store reports; slog.Default() where nil.
	Logger *slog.Logger
	// Metrics, when not nil, registers the store's metrics until Close.
	Metrics prometheus.Registerer

	// TableSize is the one setting of memory, in bytes: the size of a table in
	// memory before it is written out as a file. About three times as much is
	// in use under load. Default 16 MiB; raised to what MaxValueSize needs.
	TableSize int64
	// MaxValueSize is the limit of one value in bytes. Default 1.5 MiB, etcd's.
	MaxValueSize int
	// MinFree is the free space in bytes, beside what compactions may need, below
	// which writes fail with store.ErrNoSpace (deletes below half of it), so that
	// the store has room to finish what it began. Default 8 TableSize.
	MinFree int64

	// History says how much of the past is kept for watches and lists from
	// an older revision.
	History History
	// Window bounds the recent events kept in memory for watchers.
	Window Window
}

// History bounds what is kept of the past; what is over either bound is
// compacted by itself, every few seconds.
type History struct {
	// Age is how old a change may be. Default 5 minutes, as in Kubernetes;
	// negative to keep everything until Compact is called.
	Age time.Duration
	// Bytes is how much the writes since may come to. Default 256 MiB.
	Bytes int64
}

// Window bounds the recent events in memory.
type Window struct {
	// Events is their number. Default 10,000.
	Events int
	// Bytes is their size with keys, values and previous values. Default 16 MiB.
	Bytes int
}

const (
	defaultTableSize    = 16 << 20
	defaultMaxValueSize = 1536 << 10
	// maxKeySize keeps a key, with our prefix, well below Badger's 65,000 bytes.
	maxKeySize   = 2048
	maxClaims    = 64
	maxClaimSize = 512
	// batchPercent of a table is the most that Badger takes in one transaction.
	batchPercent = 15
	// batchSlack covers what a batch costs beside its entries' keys and values.
	batchSlack = 64 << 10
)

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, fmt.Errorf("opening a store: no directory given")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.MaxValueSize == 0 {
		o.MaxValueSize = defaultMaxValueSize
	}
	if o.MaxValueSize < 0 || o.MaxValueSize > 64<<20 {
		return o, fmt.Errorf("opening the store in %s: MaxValueSize of %d is not between 1 and 64 MiB", o.Dir, o.MaxValueSize)
	}
	if o.TableSize == 0 {
		o.TableSize = defaultTableSize
	}
	// One value with its claims must fit in one transaction.
	atLeast := int64(o.MaxValueSize+2*batchSlack+2*maxClaims*(maxClaimSize+maxKeySize)) * 100 / batchPercent
	o.TableSize = max(o.TableSize, atLeast)
	if o.TableSize > 1<<29 {
		return o, fmt.Errorf("opening the store in %s: TableSize of %d is over 512 MiB", o.Dir, o.TableSize)
	}
	if o.MinFree == 0 {
		o.MinFree = 8 * o.TableSize
	}
	if o.History.Age == 0 {
		o.History.Age = 5 * time.Minute
	}
	if o.History.Bytes == 0 {
		o.History.Bytes = 256 << 20
	}
	if o.Window.Events == 0 {
		o.Window.Events = 10_000
	}
	if o.Window.Bytes == 0 {
		o.Window.Bytes = 16 << 20
	}
	return o, nil
}

// batchBytes is how much one batch may come to, as sizeOf counts.
func (o Options) batchBytes() int { return int(o.TableSize*batchPercent/100) - batchSlack }
