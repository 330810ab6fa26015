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
	return decodeListing(r.Decoder, plus)
}

func decodeListing(d *oncrpc.Decoder, plus bool) (Listing, error) {
	decodeOptional(d)
	l := Listing{Verifier: d.Uint64()}
	for d.Bool() {
		entry := DirEntry{FileID: d.Uint64(), Name: d.String(maxName), Cookie: d.Uint64()}
		if plus {
			entry.Attributes = decodeOptional(d)
			entry.Handle = decodeOptionalHandle(d)
		}
		l.Entries = append(l.Entries, entry)
	}
	l.End = d.Bool()
	if err := d.Err(); err != nil {
		return Listing{}, err
	}
	return l, nil
}
