package oncrpc

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxRecord bounds a reply: a read of a mebibyte and its header fit.
	maxRecord = 2 << 20
	// maxFragments bounds how a reply may be cut into pieces.
	maxFragments = 4096
	queueLength  = 64
	// writeTimeout is for one record that the server takes no byte of.
	writeTimeout = 30 * time.Second
	// replyTimeout is when a call is sent again, on a new connection; as in
	// nfs(5), timeo for TCP.
	replyTimeout = 60 * time.Second
)

var errSilent = errors.New("the server did not answer")

// connection is one TCP connection until it breaks.
type connection struct {
	net    net.Conn
	queue  chan []byte
	broken chan struct{} // closed when it does not work any more
	// answered: the server sent a record.
	answered atomic.Bool

	mu      sync.Mutex
	err     error
	waiting map[uint32]chan []byte
}

func newConnection(c net.Conn) *connection {
	k := &connection{
		net: c, queue: make(chan []byte, queueLength), broken: make(chan struct{}),
		waiting: map[uint32]chan []byte{},
	}
	go k.write()
	go k.read()
	return k
}

// breakWith ends both goroutines and wakes every waiting call.
func (k *connection) breakWith(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return
	}
	k.err = err
	_ = k.net.Close()
	close(k.broken)
}

func (k *connection) failure() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

func (k *connection) write() {
	for {
		select {
		case record := <-k.queue:
			_ = k.net.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := k.net.Write(record); err != nil {
				k.breakWith(err)
				return
			}
		case <-k.broken:
			return
		}
	}
}

func (k *connection) read() {
	r := bufio.NewReaderSize(k.net, 64<<10)
	for {
		record, err := readRecord(r)
		if err != nil {
			k.breakWith(err)
			return
		}
		if len(record) < unit {
			k.breakWith(fmt.Errorf("%w: %d bytes", ErrMalformed, len(record)))
			return
		}
		k.answered.Store(true)
		xid := binary.BigEndian.Uint32(record)
		k.mu.Lock()
		reply := k.waiting[xid]
		delete(k.waiting, xid)
		k.mu.Unlock()
		if reply != nil { // Else its caller gave up.
			reply <- record[unit:]
		}
	}
}

// readRecord puts the fragments of a record together.
func readRecord(r io.Reader) ([]byte, error) {
	var record []byte
	for range maxFragments {
		var mark [recordMark]byte
		if _, err := io.ReadFull(r, mark[:]); err != nil {
			return nil, err
		}
		m := binary.BigEndian.Uint32(mark[:])
		size := int(m &^ lastFragment)
		if size > maxRecord-len(record) {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrMalformed, maxRecord)
		}
		begin := len(record)
		record = append(record, make([]byte, size)...)
		if _, err := io.ReadFull(r, record[begin:]); err != nil {
			return nil, err
		}
		if m&lastFragment != 0 {
			return record, nil
		}
	}
	return nil, fmt.Errorf("%w: more than %d fragments", ErrMalformed, maxFragments)
}

// call sends a record and waits for its reply.
func (k *connection) call(ctx context.Context, xid uint32, record []byte) ([]byte, error) {
	reply := make(chan []byte, 1)
	k.mu.Lock()
	k.waiting[xid] = reply
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		delete(k.waiting, xid)
		k.mu.Unlock()
	}()
	silent := time.NewTimer(replyTimeout)
	defer silent.Stop()
	select {
	case k.queue <- record:
	case <-k.broken:
		return nil, k.failure()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case b := <-reply:
		return b, nil
	case <-k.broken:
		return nil, k.failure()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-silent.C:
		k.breakWith(errSilent)
		return nil, errSilent
	}
}
