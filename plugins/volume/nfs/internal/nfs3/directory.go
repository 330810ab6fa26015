package nfs3

import (
	"context"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/oncrpc"
)

const maxName = 255

// DirEntry is one name of a directory.
type DirEntry struct {
	Name   string
	FileID uint64
	Cookie uint64 // where the listing goes on after it
	// Handle and Attributes may be missing.
	Handle     Handle
	Attributes *Attributes
}

// Listing is a part of a directory.
type Listing struct {
	Entries  []DirEntry
	End      bool
	Verifier uint64 // for the next part
}

// ReadDir lists a directory from a cookie on, 0 for its begin, with handles and
// attributes where the server can.
func (c *Client) ReadDir(ctx context.Context, cred *Cred, dir Handle, cookie, verifier uint64) (Listing, error) {
	l, err := c.readDir(ctx, cred, dir, cookie, verifier, true)
	if isStatus(err, StatusNotSupp) {
		return c.readDir(ctx, cred, dir, cookie, verifier, false)
	}
	return l, err
}

func (c *Client) readDir(ctx context.Context, cred *Cred, dir Handle, cookie, verifier uint64, plus bool) (Listing, error) {
	procedure := uint32(procReaddir)
	if plus {
		procedure = procReadPls
	}
	r, err := c.call(ctx, cred, procedure, 0, func(e *oncrpc.Encoder) {
		e.Opaque([]byte(dir))
		e.Uint64(cookie)
		e.Uint64(verifier)
		e.Uint32(c.DirectorySize)
		if plus {
			e.Uint32(c.DirectorySize)
		}
	})
	if err != nil {
		return Listing{}, err
	}
	decodeOptional(r.Decoder)
	l := Listing{Verifier: r.Uint64()}
	for r.Bool() {
		entry := DirEntry{FileID: r.Uint64(), Name: r.String(maxName), Cookie: r.Uint64()}
		if plus {
			entry.Attributes = decodeOptional(r.Decoder)
			entry.Handle = decodeOptionalHandle(r.Decoder)
		}
		l.Entries = append(l.Entries, entry)
	}
	l.End = r.Bool()
	if err := r.Err(); err != nil {
		return Listing{}, err
	}
	return l, nil
}
