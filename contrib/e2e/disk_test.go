package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// diskSize is little more than what the store keeps free, diskMore what is
// added to make space.
const (
	diskSize = 240 << 20
	diskMore = 60 << 20
)

// TestFullDisk fills the file system of a server's state, by its objects and by
// something else, and makes space again.
func TestFullDisk(t *testing.T) {
	h := newLAN(t).host()
	if err := os.Mkdir(h.stateDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	must(t, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", diskSize), "pintle-e2e", h.stateDir())
	t.Cleanup(func() { must(t, "umount", "-l", h.stateDir()) })
	d := h.server()
	client := h.clientset()
	acknowledged := map[string]bool{}

	// The store itself uses it up.
	full := h.fill(client, "store", acknowledged)
	mustSayFull(t, full)
	h.readsGoOn(client, acknowledged)
	// Deletes are what makes space.
	if err := client.CoreV1().ConfigMaps("default").Delete(t.Context(), "store-0", metav1.DeleteOptions{}); err != nil {
		t.Errorf("a delete on a full disk: %v", err)
	}
	delete(acknowledged, "store-0")

	// Something else takes more, of what the store had kept for itself.
	ballast := filepath.Join(h.stateDir(), "ballast")
	if err := takeSpace(ballast, 40<<20); err != nil {
		t.Fatal(err)
	}
	_, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), large("ballast"), metav1.CreateOptions{})
	mustSayFull(t, err)
	if _, err := h.kubectl("create", "configmap", "more"); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("kubectl create: %v", err)
	}
	h.readsGoOn(client, acknowledged)

	// Killed there, and without a byte left, it says why it can't start, and is whole when there is space.
	d.kill()
	if err := takeSpace(ballast, 0); err != nil {
		t.Fatal(err)
	}
	mustSay(t, h.fails(t, "server", h.dirs()...), "no space left", h.stateDir())
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	must(t, "mount", "-o", fmt.Sprintf("remount,size=%d", diskSize+2*diskMore), h.stateDir())
	d = h.server()
	client = h.clientset()
	h.readsGoOn(client, acknowledged)
	for i := range 10 {
		name := fmt.Sprintf("after-%d", i)
		if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), large(name), metav1.CreateOptions{}); err != nil {
			t.Fatalf("with space again: %v", err)
		}
		acknowledged[name] = true
	}
	h.readsGoOn(client, acknowledged)

	// And while it runs: full, then space, without a restart.
	mustSayFull(t, h.fill(client, "again", acknowledged))
	must(t, "mount", "-o", fmt.Sprintf("remount,size=%d", diskSize+4*diskMore), h.stateDir())
	h.eventually(30*time.Second, func() error {
		_, err := client.CoreV1().ConfigMaps("default").Create(context.Background(), large("last"), metav1.CreateOptions{})
		return err
	})
	acknowledged["last"] = true
	h.readsGoOn(client, acknowledged)
	d.end()
}

// takeSpace makes a file so large that this much is free beside it.
func takeSpace(path string, left uint64) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	chunk := make([]byte, 1<<20)
	for {
		var st syscall.Statfs_t
		if err := syscall.Statfs(path, &st); err != nil {
			return errors.Join(err, file.Close())
		}
		if free := st.Bavail * uint64(st.Bsize); free <= left {
			return file.Close()
		} else if free < uint64(len(chunk)) {
			chunk = chunk[:free]
		}
		if _, err := file.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			return file.Close()
		} else if err != nil {
			return errors.Join(err, file.Close())
		}
	}
}

// large is an object of about half a MiB.
func large(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"test": "disk"}},
		Data:       map[string]string{"k": strings.Repeat("x", 512<<10)},
	}
}

// fill writes until the disk is full, and returns how that was said.
func (h *host) fill(client *kubernetes.Clientset, prefix string, acknowledged map[string]bool) error {
	h.t.Helper()
	for i := range 2 * diskSize >> 19 {
		name := fmt.Sprintf("%s-%d", prefix, i)
		if _, err := client.CoreV1().ConfigMaps("default").Create(context.Background(), large(name), metav1.CreateOptions{}); err != nil {
			h.t.Logf("full after %d objects: %v", i, err)
			return err
		}
		acknowledged[name] = true
	}
	h.t.Fatal("the disk does not fill")
	return nil
}

func mustSayFull(t *testing.T, err error) {
	t.Helper()
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Code != http.StatusInsufficientStorage || !strings.Contains(err.Error(), "no space left") {
		t.Fatalf("a write on a full disk: %v", err)
	}
}

// readsGoOn finds everything that was acknowledged, whole, and nothing else.
func (h *host) readsGoOn(client *kubernetes.Clientset, acknowledged map[string]bool) {
	h.t.Helper()
	options := metav1.ListOptions{LabelSelector: "test=disk", Limit: 100}
	found := 0
	for {
		list, err := client.CoreV1().ConfigMaps("default").List(context.Background(), options)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, c := range list.Items {
			found++
			if !acknowledged[c.Name] || len(c.Data["k"]) != 512<<10 {
				h.t.Errorf("%s has %d bytes, acknowledged: %v", c.Name, len(c.Data["k"]), acknowledged[c.Name])
			}
		}
		if options.Continue = list.Continue; options.Continue == "" {
			break
		}
	}
	if found != len(acknowledged) {
		h.t.Errorf("%d objects of %d acknowledged", found, len(acknowledged))
	}
}
