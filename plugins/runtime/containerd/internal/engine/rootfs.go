package engine

import (
	"io/fs"
	"os"
)

// rootFS reads an image's files without ever following a link out of it.
type rootFS = fs.FS

func withRoot(path string, use func(rootFS) error) error {
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return use(root.FS())
}
