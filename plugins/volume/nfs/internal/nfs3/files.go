package nfs3

import (
	"context"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/oncrpc"
)

func (c *Client) GetAttr(ctx context.Context, cred *Cred, file Handle) (*Attributes, error) {
	r, err := c.call(ctx, cred, procGetAttr, 0, handleArg(file))
	if err != nil {
		return nil, err
	}
	return decodeAttributes(r.Decoder), r.Err()
}

func (c *Client) SetAttr(ctx context.Context, cred *Cred, file Handle, changes *Changes) (*Attributes, error) {
	r, err := c.call(ctx, cred, procSetAttr, 0, func(e *oncrpc.Encoder) {
		e.Opaque([]byte(file))
		changes.encode(e)
		e.Bool(false) // no guard
	})
	if err != nil {
		return nil, err
	}
	attributes := decodeWeak(r.Decoder)
	if err := r.Err(); err != nil {
		return nil, err
	}
	entry, err := c.complete(ctx, cred, Entry{file, attributes})
	return entry.Attributes, err
}

// Permissions of Access.
const (
	AccessRead uint32 = 1 << iota
	AccessLookup
	AccessModify
	AccessExtend
	AccessDelete
	AccessExecute
)

// Access returns which of the wanted permissions the server grants.
func (c *Client) Access(ctx context.Context, cred *Cred, file Handle, wanted uint32) (uint32, error) {
	r, err := c.call(ctx, cred, procAccess, 0, func(e *oncrpc.Encoder) {
		e.Opaque([]byte(file))
		e.Uint32(wanted)
	})
	if err != nil {
		return 0, err
	}
	decodeOptional(r.Decoder)
	return r.Uint32(), r.Err()
}

func (c *Client) Readlink(ctx context.Context, cred *Cred, file Handle) ([]byte, error) {
	const maxTarget = 64 << 10
	r, err := c.call(ctx, cred, procReadlnk, 0, handleArg(file))
	if err != nil {
		return nil, err
	}
	decodeOptional(r.Decoder)
	return r.Opaque(maxTarget), r.Err()
}

// Read returns at most count bytes, and whether they are the last.
func (c *Client) Read(ctx context.Context, cred *Cred, file Handle, offset uint64, count uint32) (data []byte, end bool, err error) {
	r, err := c.call(ctx, cred, procRead, 0, func(e *oncrpc.Encoder) {
		e.Opaque([]byte(file))
		e.Uint64(offset)
		e.Uint32(count)
	})
	if err != nil {
		return nil, false, err
	}
	decodeOptional(r.Decoder)
	r.Uint32() // the count, which the data has, too
	end = r.Bool()
	data = r.Opaque(int(count))
	return data, end, r.Err()
}

// Stability of a write, stable_how.
type Stability uint32

const (
	Unstable Stability = 0
	FileSync Stability = 2
)

// Verifier changes when a server restarts and may have lost unstable writes.
type Verifier uint64

// Written is the result of Write.
type Written struct {
	Count    uint32
	Stable   bool
	Verifier Verifier
}

// Write writes as much of data as the server takes at once.
func (c *Client) Write(ctx context.Context, cred *Cred, file Handle, offset uint64, data []byte, how Stability) (Written, error) {
	r, err := c.call(ctx, cred, procWrite, len(data), func(e *oncrpc.Encoder) {
		e.Opaque([]byte(file))
		e.Uint64(offset)
		e.Uint32(uint32(len(data)))
		e.Uint32(uint32(how))
		e.Opaque(data)
	})
	if err != nil {
		return Written{}, err
	}
	decodeWeak(r.Decoder)
	w := Written{Count: r.Uint32(), Stable: r.Uint32() != uint32(Unstable), Verifier: Verifier(r.Uint64())}
	if r.Err() == nil && (w.Count == 0 || int(w.Count) > len(data)) {
		r.Fail("%d of %d bytes written", w.Count, len(data))
	}
	return w, r.Err()
}

// Commit makes the unstable writes of a file stable.
func (c *Client) Commit(ctx context.Context, cred *Cred, file Handle) (Verifier, error) {
	r, err := c.call(ctx, cred, procCommit, 0, func(e *oncrpc.Encoder) {
		e.Opaque([]byte(file))
		e.Uint64(0)
		e.Uint32(0) // to the end
	})
	if err != nil {
		return 0, err
	}
	decodeWeak(r.Decoder)
	return Verifier(r.Uint64()), r.Err()
}

// Space is what FSSTAT says, in bytes and files.
type Space struct {
	Bytes, FreeBytes, AvailableBytes uint64
	Files, FreeFiles, AvailableFiles uint64
}

func (c *Client) FSStat(ctx context.Context, cred *Cred) (Space, error) {
	r, err := c.call(ctx, cred, procFSStat, 0, handleArg(c.Root))
	if err != nil {
		return Space{}, err
	}
	decodeOptional(r.Decoder)
	s := Space{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}
	return s, r.Err()
}
