package atomicdir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	dataLink    = "..data"
	newDataLink = "..data_tmp"
	stampLayout = "..2006_01_02_15_04_05.000000000"
	maxPath     = 4096
	maxName     = 255
)

// File of a payload.
type File struct {
	Data []byte
	Mode fs.FileMode
}

// Options of a Write.
type Options struct {
	// Group owns files and directories, where it is set.
	Group *int64
}

// Write makes dir, which exists, hold exactly the payload: content by path
// relative to dir. It reports whether something changed.
func Write(dir string, payload map[string]File, o Options) (changed bool, err error) {
	for path := range payload {
		if err := check(path); err != nil {
			return false, err
		}
	}
	old, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if old != "" && same(filepath.Join(dir, old), payload) {
		// An interrupted Write may have left links or directories.
		return false, tidy(dir, old, payload)
	}
	stamp := time.Now().UTC().Format(stampLayout)
	if err := fill(filepath.Join(dir, stamp), payload, o); err != nil {
		_ = os.RemoveAll(filepath.Join(dir, stamp))
		return false, err
	}
	tmp := filepath.Join(dir, newDataLink)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := os.Symlink(stamp, tmp); err != nil {
		return false, err
	}
	if err := os.Rename(tmp, filepath.Join(dir, dataLink)); err != nil {
		return false, err
	}
	return true, tidy(dir, stamp, payload)
}

func check(path string) error {
	switch {
	case path == "" || filepath.IsAbs(path):
		return fmt.Errorf("path %q of a file in a volume must be relative and not empty", path)
	case len(path) > maxPath:
		return fmt.Errorf("path %.40q… of a file in a volume is longer than %d bytes", path, maxPath)
	case strings.HasPrefix(path, ".."):
		return fmt.Errorf("path %q of a file in a volume must not start with '..'", path)
	}
	for part := range strings.SplitSeq(filepath.ToSlash(path), "/") {
		if part == ".." {
			return fmt.Errorf("path %q of a file in a volume must not contain '..'", path)
		}
		if len(part) > maxName {
			return fmt.Errorf("path %.40q… of a file in a volume has a name longer than %d bytes", path, maxName)
		}
	}
	return nil
}

// same compares what is on disk with the payload.
func same(dir string, payload map[string]File) bool {
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		want, ok := payload[rel]
		if !ok {
			return fs.ErrExist
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		have, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !bytes.Equal(have, want.Data) || info.Mode().Perm() != want.Mode.Perm() {
			return fs.ErrExist
		}
		found++
		return nil
	})
	return err == nil && found == len(payload)
}

func fill(dir string, payload map[string]File, o Options) error {
	if err := makeDir(dir, o); err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(payload)) {
		parent := dir
		parts := strings.Split(filepath.Clean(path), string(filepath.Separator))
		for _, part := range parts[:len(parts)-1] {
			parent = filepath.Join(parent, part)
			if err := makeDir(parent, o); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
		name := filepath.Join(dir, path)
		file := payload[path]
		if err := os.WriteFile(name, file.Data, 0o600); err != nil {
			return err
		}
		if err := own(name, o); err != nil {
			return err
		}
		// After WriteFile and chown, for neither the umask nor chown's clearing
		// of special bits may have a say.
		if err := os.Chmod(name, file.Mode.Perm()); err != nil {
			return err
		}
	}
	return nil
}

func makeDir(dir string, o Options) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := own(dir, o); err != nil {
		return err
	}
	mode := fs.FileMode(0o755)
	if o.Group != nil {
		mode |= fs.ModeSetgid
	}
	return os.Chmod(dir, mode)
}

func own(path string, o Options) error {
	if o.Group == nil {
		return nil
	}
	return os.Lchown(path, -1, int(*o.Group))
}

// tidy makes the links that readers use and removes what the payload lacks.
func tidy(dir, stamp string, payload map[string]File) error {
	top := map[string]struct{}{}
	for path := range payload {
		first, _, _ := strings.Cut(filepath.Clean(path), string(filepath.Separator))
		top[first] = struct{}{}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errList []error
	for _, e := range entries {
		name := e.Name()
		if name == dataLink || name == stamp {
			continue
		}
		if _, ok := top[name]; ok {
			if to, err := os.Readlink(filepath.Join(dir, name)); err == nil && to == filepath.Join(dataLink, name) {
				delete(top, name)
				continue
			}
		}
		errList = append(errList, os.RemoveAll(filepath.Join(dir, name)))
	}
	for _, name := range slices.Sorted(maps.Keys(top)) {
		errList = append(errList, os.Symlink(filepath.Join(dataLink, name), filepath.Join(dir, name)))
	}
	return errors.Join(errList...)
}
