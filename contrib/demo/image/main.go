// image makes a container image of one static executable, or of a directory, as
// a docker archive that "pintle image import" reads. No registry and no base
// image is needed.
//
//	image -binary bin/demo/webserver -tag pintle.io/demo/webserver:1 -out bin/demo/webserver.tar
//	image -root rootfs -tag example.org/nginx:1 -out nginx.tar
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	binary := flag.String("binary", "", "the executable")
	root := flag.String("root", "", "a root file system, in place of an executable")
	tag := flag.String("tag", "", "name of the image")
	out := flag.String("out", "", "archive to write")
	flag.Parse()
	if err := run(*binary, *root, *tag, *out); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(binary, root, tag, out string) error {
	if (binary == "") == (root == "") || tag == "" || out == "" {
		return errors.New("-tag, -out and one of -binary and -root are required")
	}
	ref, err := name.NewTag(tag)
	if err != nil {
		return fmt.Errorf("the tag: %w", err)
	}
	var content []byte
	if binary != "" {
		content, err = layerOf(binary)
	} else {
		content, err = layerOfTree(root)
	}
	if err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	if err != nil {
		return fmt.Errorf("making the layer: %w", err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return fmt.Errorf("adding the layer: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	config = config.DeepCopy()
	config.Architecture, config.OS = runtime.GOARCH, "linux"
	config.Config = v1.Config{WorkingDir: "/", Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}
	if binary != "" {
		config.Config.Entrypoint = []string{"/" + filepath.Base(binary)}
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	if err := tarball.WriteToFile(out, ref, image); err != nil {
		return fmt.Errorf("writing %s: %w", out, err)
	}
	return nil
}

// layerOf is a tar of the executable alone, the same bytes for the same binary.
func layerOf(binary string) ([]byte, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	epoch := time.Unix(0, 0)
	for _, dir := range []string{"tmp/", "etc/", "proc/", "sys/", "dev/"} {
		mode := int64(0o755)
		if dir == "tmp/" {
			mode = 0o1777
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: mode, ModTime: epoch}); err != nil {
			return nil, err
		}
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: filepath.Base(binary), Mode: 0o755, Size: int64(len(content)), ModTime: epoch}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// layerOfTree is a tar of everything below a directory.
func layerOfTree(root string) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.AddFS(os.DirFS(root)); err != nil {
		return nil, fmt.Errorf("reading %s: %w", root, err)
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
