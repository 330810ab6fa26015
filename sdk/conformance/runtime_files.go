package conformance

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	goruntime "runtime"
	"strings"
	"time"
)

// imageArchive makes a docker archive of an image with one program, by hand:
// the SDK has no library for images. Format: "docker save".
func imageArchive(program []byte) ([]byte, error) {
	layer, err := tarball([]tarEntry{
		{"etc/", nil, 0o755}, {"tmp/", nil, 0o1777}, {"proc/", nil, 0o755}, {"sys/", nil, 0o755}, {"dev/", nil, 0o755},
		{"runtimeprobe", program, 0o755},
		{"etc/passwd", []byte("root:x:0:0::/:\nprobe:x:1234:4321::/:\n"), 0o644},
		{"etc/group", []byte("root:x:0:\nprobe:x:4321:\nmore:x:77:probe\n"), 0o644},
	})
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": goruntime.GOARCH, "os": "linux",
		"config": map[string]any{
			"Entrypoint": []string{"/runtimeprobe"}, "Cmd": []string{"print", "from the", "image"},
			"Env": []string{"PATH=/", "IMAGE_VARIABLE=from the image"}, "WorkingDir": "/tmp", "StopSignal": "SIGUSR1",
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	if err != nil {
		return nil, err
	}
	configName := fmt.Sprintf("%x.json", sha256.Sum256(config))
	// Without a name: default_name gives it one.
	manifest, err := json.Marshal([]map[string]any{{"Config": configName, "RepoTags": nil, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return nil, err
	}
	return tarball([]tarEntry{{"layer.tar", layer, 0o644}, {configName, config, 0o644}, {"manifest.json", manifest, 0o644}})
}

type tarEntry struct {
	name string
	data []byte
	mode int64
}

func tarball(entries []tarEntry) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, entry := range entries {
		header := &tar.Header{Name: entry.name, Size: int64(len(entry.data)), Mode: entry.mode, Typeflag: tar.TypeReg}
		if strings.HasSuffix(entry.name, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(entry.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return buf.Bytes(), err
}

// readLog reads a log in the CRI format and puts the lines of one stream
// together again. Any deviation from the format is an error.
func readLog(path, stream string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for line := range strings.Lines(string(data)) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(fields) != 4 || !strings.HasSuffix(line, "\n") {
			return "", fmt.Errorf("log: %.80q is not a line of the CRI format", line)
		}
		if _, err := time.Parse(time.RFC3339Nano, fields[0]); err != nil {
			return "", fmt.Errorf("log: %.80q does not begin with a time in RFC 3339: %w", line, err)
		}
		if fields[1] != "stdout" && fields[1] != "stderr" {
			return "", fmt.Errorf("log: %.80q names no stream", line)
		}
		if fields[2] != "F" && fields[2] != "P" {
			return "", fmt.Errorf("log: the tag of %.80q is neither F nor P", line)
		}
		if fields[1] != stream {
			continue
		}
		out.WriteString(fields[3])
		if fields[2] == "F" {
			out.WriteByte('\n')
		}
	}
	return out.String(), nil
}
