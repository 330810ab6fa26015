package engine

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

type tarFile struct {
	name string
	data []byte
	mode int64
	link string
}

func tarLayer(files []tarFile) (v1.Layer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, file := range files {
		header := &tar.Header{Name: file.name, Mode: file.mode, Size: int64(len(file.data)), Typeflag: tar.TypeReg}
		switch {
		case strings.HasSuffix(file.name, "/"):
			header.Typeflag = tar.TypeDir
		case file.link != "":
			header.Typeflag, header.Linkname = tar.TypeSymlink, file.link
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(file.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
}

func emptyIndex() v1.ImageIndex { return empty.Index }

// tarDirectory makes an OCI archive of a layout.
func tarDirectory(dir string) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		return nil, err
	}
	err := w.Close()
	return buf.Bytes(), err
}

// config is the configuration of the test image.
func (f *fixture) config(t testing.TB) v1.Config {
	t.Helper()
	file, err := f.image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return file.Config
}
