package main

import (
	"os"
	"sync"
)

// logLimit is the size of a log in bytes; at it the log begins anew.
const logLimit = 256 << 10

// boundedLog is a file that was opened for appending.
type boundedLog struct {
	mu   sync.Mutex
	file *os.File
}

func (b *boundedLog) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if info, err := b.file.Stat(); err == nil && info.Mode().IsRegular() && info.Size()+int64(len(line)) > logLimit {
		_ = b.file.Truncate(0)
	}
	return b.file.Write(line)
}
