package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const nginxImage = "pintle.io/e2e/nginx:1"

// nginxPackages are nginx as Debian ships it, with what it links and a shell.
var nginxPackages = []string{"nginx", "nginx-common", "libc6", "libpcre2-8-0", "libssl3", "zlib1g", "libcrypt1", "busybox-static"}

// nginxArchive makes an image of Debian's nginx, once a run.
var nginxArchive = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("/var/tmp", "pe-nginx")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	root := filepath.Join(dir, "root")
	script := `set -eu
mkdir -p "$1/debs" "$1/root"
cd "$1/debs"
apt-get download -q "${@:2}"
for deb in *.deb; do dpkg-deb -x "$deb" "$1/root"; done
cd "$1/root"
for d in bin sbin lib lib64; do
	if [ -d $d ] && [ ! -L $d ]; then mkdir -p usr/$d; cp -a $d/. usr/$d/; rm -rf $d; fi
	[ -e $d ] || ln -s usr/$d $d
done
for a in sh ls cat wget test rm touch sleep echo mkdir stat mount df id env grep head tail dd hostname readlink sort tar true; do ln -sf busybox usr/bin/$a; done
mkdir -p proc sys dev tmp etc var/log/nginx var/lib/nginx run
chmod 1777 tmp
echo 'root:x:0:0:root:/:/bin/sh' >etc/passwd
echo 'root:x:0:' >etc/group
rm -rf usr/share/doc usr/share/man usr/share/locale usr/lib/x86_64-linux-gnu/gconv`
	cmd := exec.Command("bash", append([]string{"-c", script, "bash", dir}, nginxPackages...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return string(out), err
	}
	out := filepath.Join(bin, "demo", "nginx.tar")
	build := exec.Command(filepath.Join(bin, "demo", "image"), "-root", root, "-tag", nginxImage, "-out", out)
	if message, err := build.CombinedOutput(); err != nil {
		return string(message), err
	}
	return out, nil
})

func nginx(t *testing.T) string {
	t.Helper()
	path, err := nginxArchive()
	if err != nil {
		t.Fatalf("making the image of nginx: %v: %s", err, path)
	}
	return path
}
