package nfsfuse

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/pintle-io/pintle/plugins/volume/nfs/internal/nfs3"
)

// hiddenName is where a removed file lives until its last close, since the
// server knows nothing of opens.
type hiddenName struct {
	dir  nfs3.Handle
	name string
	cred *nfs3.Cred
}

// hide renames a file that is open here instead of removing it.
func (f *FileSystem) hide(ctx context.Context, cred *nfs3.Cred, dir *node, name string) (bool, error) {
	if !f.handles.files() {
		return false, nil
	}
	e, err := f.nfs.Lookup(ctx, cred, dir.handle, name)
	if err != nil {
		return false, err
	}
	n := f.nodes.find(e.Handle)
	if n == nil || n.isDir {
		return false, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	// Another name keeps the file; a hidden one is removed for good.
	if n.opened == 0 || n.hidden != nil || e.Attributes.Links > 1 {
		return false, nil
	}
	hidden := fmt.Sprintf(".nfs%016x%s", e.Attributes.FileID, strings.ToLower(rand.Text()[:8]))
	if err := f.nfs.Rename(ctx, cred, dir.handle, name, dir.handle, hidden); err != nil {
		return false, err
	}
	n.hidden = &hiddenName{dir.handle, hidden, cred}
	return true, nil
}

// hideReplaced hides the file that a rename would replace.
func (f *FileSystem) hideReplaced(ctx context.Context, cred *nfs3.Cred, fromDir *node, from string, toDir *node, to string) error {
	if !f.handles.files() {
		return nil
	}
	replaced, err := f.nfs.Lookup(ctx, cred, toDir.handle, to)
	var s nfs3.Status
	if errors.As(err, &s) {
		return nil // Nothing to replace, or the rename itself will say why not.
	}
	if err != nil {
		return err
	}
	if n := f.nodes.find(replaced.Handle); n == nil || n.isDir {
		return nil
	}
	moved, err := f.nfs.Lookup(ctx, cred, fromDir.handle, from)
	if err != nil || moved.Handle == replaced.Handle || moved.Attributes.IsDir() {
		return err
	}
	_, err = f.hide(ctx, cred, toDir, to)
	return err
}

// closed counts a handle less and removes a hidden file after the last.
func (f *FileSystem) closed(ctx context.Context, n *node) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opened--
	if n.opened > 0 || n.hidden == nil {
		return nil
	}
	h := n.hidden
	n.hidden = nil
	return f.nfs.Remove(ctx, h.cred, h.dir, h.name)
}
