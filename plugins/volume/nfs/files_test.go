package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFiles does to files what programs do, and looks at what came of it on the
// server's disk.
func TestFiles(t *testing.T) {
	server := startServer(t)
	client, _ := startPlugin(t)
	root := newVolume(t, client, serverAddress, server.export(), false).mustMount()
	for name, try := range map[string]func(t *testing.T, dir, disk string){
		"append and truncate": tryAppend,
		"names":               tryNames,
		"attributes":          tryAttributes,
		"exclusive":           tryExclusive,
		"removed while open":  tryRemovedWhileOpen,
		"mapped":              tryMapped,
		"big directory":       tryBigDirectory,
		"users":               tryUsers,
		"special files":       trySpecialFiles,
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(root, t.Name()[len("TestFiles/"):])
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			try(t, dir, filepath.Join(server.export(), filepath.Base(dir)))
		})
	}
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil || st.Blocks == 0 || st.Bavail > st.Blocks {
		t.Errorf("statfs: %+v, %v", st, err)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func tryAppend(t *testing.T, dir, disk string) {
	path := filepath.Join(dir, "file")
	for range 3 {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		must(t, err)
		_, err = f.WriteString("line\n")
		must(t, err, f.Close())
	}
	wantFile(t, filepath.Join(disk, "file"), "line\nline\nline\n")
	must(t, os.Truncate(path, 7))
	wantFile(t, path, "line\nli")
	must(t, os.Truncate(path, 9))
	wantFile(t, filepath.Join(disk, "file"), "line\nli\x00\x00")

	// A truncation after a write that was not committed yet.
	f, err := os.Create(path)
	must(t, err)
	_, err = f.WriteString("a long text")
	must(t, err, f.Truncate(3))
	_, err = f.WriteAt([]byte("!"), 5000)
	must(t, err, f.Close())
	wantFile(t, filepath.Join(disk, "file"), "a l"+strings.Repeat("\x00", 4997)+"!")
}

func tryNames(t *testing.T, dir, disk string) {
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(at("a"), []byte("a"), 0o644), os.Link(at("a"), at("hard")), os.Symlink("a", at("soft")),
		os.Mkdir(at("d"), 0o755), os.Rename(at("a"), at("d/b")))
	wantFile(t, at("hard"), "a")
	if target, err := os.Readlink(at("soft")); err != nil || target != "a" {
		t.Errorf("readlink: %q, %v", target, err)
	}
	if err := os.Remove(at("d")); !errors.Is(err, syscall.ENOTEMPTY) {
		t.Errorf("removing a directory with a file: %v", err)
	}
	if err := os.Mkdir(at("d"), 0o755); !errors.Is(err, syscall.EEXIST) {
		t.Errorf("making a directory that is there: %v", err)
	}
	if _, err := os.Open(at("soft")); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("a link to nothing: %v", err)
	}
	if err := os.WriteFile(at(strings.Repeat("x", 256)), nil, 0o644); !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("a name that is too long: %v", err)
	}
	must(t, os.RemoveAll(at("d")), os.Remove(at("hard")), os.Remove(at("soft")))
	if left, err := os.ReadDir(disk); err != nil || len(left) > 0 {
		t.Errorf("left on the server: %v, %v", left, err)
	}
}

func tryAttributes(t *testing.T, dir, disk string) {
	path := filepath.Join(dir, "file")
	when := time.Date(2001, 2, 3, 4, 5, 6, 7000, time.UTC)
	must(t, os.WriteFile(path, []byte("text"), 0o600), os.Chmod(path, 0o4751), os.Chown(path, 1234, 4321), os.Chmod(path, 0o640),
		os.Chtimes(path, when, when.Add(time.Hour)))
	for _, path := range []string{path, filepath.Join(disk, "file")} {
		info, err := os.Stat(path)
		must(t, err)
		st := info.Sys().(*syscall.Stat_t)
		if info.Mode() != 0o640 || st.Uid != 1234 || st.Gid != 4321 || info.Size() != 4 || !info.ModTime().Equal(when.Add(time.Hour)) {
			t.Errorf("%s: %v %d:%d %d bytes, %v", path, info.Mode(), st.Uid, st.Gid, info.Size(), info.ModTime())
		}
	}
}

func tryExclusive(t *testing.T, dir, disk string) {
	path := filepath.Join(dir, "lock")
	begin := time.Now().Add(-time.Minute)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o400)
	must(t, err)
	_, err = f.WriteString("mine")
	must(t, err, f.Close())
	if _, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); !errors.Is(err, syscall.EEXIST) {
		t.Errorf("the second exclusive creation: %v", err)
	}
	info, err := os.Stat(filepath.Join(disk, "lock"))
	must(t, err)
	if info.Mode() != 0o400 || info.ModTime().Before(begin) {
		t.Errorf("it is %v of %v", info.Mode(), info.ModTime())
	}
}

func tryRemovedWhileOpen(t *testing.T, dir, disk string) {
	path := filepath.Join(dir, "file")
	f, err := os.Create(path)
	must(t, err, os.Remove(path))
	if _, err := os.Stat(path); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("the removed file: %v", err)
	}
	_, err = f.WriteString("still there")
	must(t, err)
	text := make([]byte, 11)
	if _, err := f.ReadAt(text, 0); err != nil || string(text) != "still there" {
		t.Errorf("read %q, %v", text, err)
	}
	// One that is replaced.
	other := filepath.Join(dir, "other")
	must(t, os.WriteFile(path, []byte("old"), 0o644), os.WriteFile(other, []byte("new"), 0o644))
	g, err := os.Open(path)
	must(t, err, os.Rename(other, path))
	if _, err := g.ReadAt(text[:3], 0); err != nil || string(text[:3]) != "old" {
		t.Errorf("read %q, %v", text[:3], err)
	}
	wantFile(t, path, "new")
	must(t, f.Close(), g.Close())
	eventually(t, "the hidden files are removed", func() error {
		left, err := os.ReadDir(disk)
		if err == nil && len(left) != 1 {
			err = fmt.Errorf("%v", left)
		}
		return err
	})
}

func tryMapped(t *testing.T, dir, disk string) {
	path := filepath.Join(dir, "file")
	must(t, os.WriteFile(path, bytes.Repeat([]byte("."), 8192), 0o644))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	m, err := unix.Mmap(int(f.Fd()), 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	copy(m[4090:], "over a page")
	must(t, unix.Msync(m, unix.MS_SYNC))
	wantFile(t, filepath.Join(disk, "file"), strings.Repeat(".", 4090)+"over a page"+strings.Repeat(".", 8192-4101))
	copy(m, "last")
	must(t, unix.Munmap(m), f.Close())
	wantFile(t, filepath.Join(disk, "file"), "last"+strings.Repeat(".", 4086)+"over a page"+strings.Repeat(".", 8192-4101))
}

func tryBigDirectory(t *testing.T, dir, disk string) {
	const files = 2000
	for i := range files {
		must(t, os.WriteFile(filepath.Join(disk, fmt.Sprintf("a file with a rather long name %04d", i)), nil, 0o644))
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != files {
		t.Fatalf("%d of %d files are listed", len(entries), files)
	}
	for i, entry := range entries { // sorted
		if want := fmt.Sprintf("a file with a rather long name %04d", i); entry.Name() != want || !entry.Type().IsRegular() {
			t.Fatalf("%q of type %v is listed for %q", entry.Name(), entry.Type(), want)
		}
	}
	must(t, os.RemoveAll(dir))
}

func tryUsers(t *testing.T, dir, _ string) {
	as := func(uid, gid uint32, groups []uint32, command string) error {
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = "/"
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "DIR=" + dir}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}
		output, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, output)
		}
		return err
	}
	// The path to the target is the node agent's alone; for the test it is open.
	for up := filepath.Dir(filepath.Dir(dir)); up != os.TempDir(); up = filepath.Dir(up) {
		must(t, os.Chmod(up, 0o755))
	}
	must(t, os.Mkdir(filepath.Join(dir, "mine"), 0o700), os.Chown(filepath.Join(dir, "mine"), 1001, 1001),
		os.Mkdir(filepath.Join(dir, "group"), 0o2770), os.Chmod(filepath.Join(dir, "group"), 0o2770|os.ModeSetgid),
		os.Chown(filepath.Join(dir, "group"), 0, 4321))
	must(t, as(1001, 1001, nil, "umask 077; echo secret >$DIR/mine/file && cat $DIR/mine/file"))
	if err := as(1002, 1002, nil, "cat $DIR/mine/file"); err == nil {
		t.Error("another user reads a file of mode 0600")
	}
	if err := as(1002, 1002, nil, "echo >$DIR/group/file"); err == nil {
		t.Error("a user of another group writes to a directory of mode 0770")
	}
	must(t, as(1002, 1002, []uint32{77, 4321}, "echo >$DIR/group/file"))
	info, err := os.Stat(filepath.Join(dir, "group/file"))
	must(t, err)
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 1002 || st.Gid != 4321 {
		t.Errorf("the file in the group's directory is of %d:%d", st.Uid, st.Gid)
	}
}

func trySpecialFiles(t *testing.T, dir, disk string) {
	must(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	info, err := os.Lstat(filepath.Join(disk, "pipe"))
	must(t, err)
	if info.Mode() != os.ModeNamedPipe|0o600 {
		t.Errorf("the pipe is %v", info.Mode())
	}
}
