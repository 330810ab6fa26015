package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/uuid"
)

// envInstance marks a plugin's process and its descendants. Together with the
// record it lets the next host find what a killed one left.
const envInstance = "PINTLE_INSTANCE"

const (
	recordSuffix     = ".instance"
	socketDirPrefix  = "plugin-dir" // made by go-plugin
	lockName         = "lock"
	clearStaleWithin = 5 * time.Second
)

// record is a file in RunDir for each running process, written before it
// starts and removed after it is gone.
type record struct {
	path string

	ID     string `json:"id"`
	Plugin string `json:"plugin"`
	// Session is the host's: a descendant that moved to a session of its own
	// was meant to outlive the plugin, such as a container daemon.
	Session int `json:"session"`
}

func newRecord(runDir, pluginID string) (*record, error) {
	session, err := unix.Getsid(0)
	if err != nil {
		return nil, fmt.Errorf("get the session: %w", err)
	}
	id := string(uuid.NewUUID())
	r := &record{path: filepath.Join(runDir, id+recordSuffix), ID: id, Plugin: pluginID, Session: session}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(r.path, text, 0o600); err != nil {
		return nil, fmt.Errorf("record the process: %w", err)
	}
	return r, nil
}

func (r *record) remove() { _ = os.Remove(r.path) }

// lockRunDir keeps a second host out of the directory. The kernel releases the
// lock with the returned file, also after kill -9.
func lockRunDir(runDir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(runDir, lockName), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is in use by another pintled: stop that one, or give this one a run directory of its own", runDir)
		}
		return nil, err
	}
	return f, nil
}

// clearStale kills the processes and removes the files that a host which was
// killed left in its run directory.
func clearStale(runDir string, log *slog.Logger) error {
	entries, err := os.ReadDir(runDir)
	if err != nil {
		return err
	}
	var stale []*record
	for _, e := range entries {
		path := filepath.Join(runDir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), socketDirPrefix):
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		case strings.HasSuffix(e.Name(), recordSuffix):
			r := &record{path: path}
			text, err := os.ReadFile(path)
			if err == nil {
				err = json.Unmarshal(text, r)
			}
			if err != nil || r.ID == "" {
				// Half written: the process had not been started yet.
				r.remove()
				continue
			}
			stale = append(stale, r)
		}
	}
	if len(stale) == 0 {
		return nil
	}
	deadline := time.Now().Add(clearStaleWithin)
	for {
		left, err := killMarked(stale, log)
		if err != nil {
			return err
		}
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes of plugins of an earlier run don't end after SIGKILL: see the log for their numbers", left)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, r := range stale {
		r.remove()
	}
	return nil
}

// killMarked kills every process that carries the mark of a record and is in
// its session, and returns how many there were.
func killMarked(records []*record, log *slog.Logger) (int, error) {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	left := 0
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		// A process that can't be read is gone, or not ours.
		environ, err := os.ReadFile(filepath.Join("/proc", d.Name(), "environ"))
		if err != nil {
			continue
		}
		for _, r := range records {
			if !marked(environ, r.ID) {
				continue
			}
			if session, err := unix.Getsid(pid); err != nil || session != r.Session {
				continue
			}
			log.Info("killing a process that a plugin of an earlier run left", "plugin", r.Plugin, "pid", pid)
			_ = unix.Kill(pid, unix.SIGKILL)
			left++
		}
	}
	return left, nil
}

func marked(environ []byte, id string) bool {
	for v := range bytes.SplitSeq(environ, []byte{0}) {
		if string(v) == envInstance+"="+id {
			return true
		}
	}
	return false
}
