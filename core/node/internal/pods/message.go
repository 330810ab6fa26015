package pods

import (
	"bytes"
	"io"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/core/node/internal/podspec"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Limits of termination messages, as the API documents them.
const (
	maxMessage       = 4096
	maxFallbackBytes = 2048
	maxFallbackLines = 80
)

// message is what a container that ended left behind, read once.
func (w *worker) message(run *pluginv1.Container) string {
	if m, ok := w.messages[run.Id]; ok {
		return m
	}
	m := ""
	file := run.Annotations[podspec.AnnotationMessageFile]
	if strings.HasPrefix(file, w.m.o.Volumes.PodDir(w.uid)) {
		m = head(file, maxMessage)
	}
	policy := corev1.TerminationMessagePolicy(run.Annotations[podspec.AnnotationTerminationMessagePolicy])
	if m == "" && policy == corev1.TerminationMessageFallbackToLogsOnError && run.ExitCode != 0 {
		m = logTail(run.LogPath)
	}
	m = strings.ToValidUTF8(m, "")
	w.messages[run.Id] = m
	return m
}

func head(path string, limit int64) string {
	f, err := os.Open(path)
	if err != nil {
		return "" // removed by the container, or never made
	}
	defer func() { _ = f.Close() }()
	b, _ := io.ReadAll(io.LimitReader(f, limit))
	return string(b)
}

// logTail is the end of a log without the fields of its lines.
func logTail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	// Lines carry a time, a stream and a tag beside the text.
	const window = 4 * maxFallbackBytes
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(end-window, 0), io.SeekStart)
	}
	raw, _ := io.ReadAll(io.LimitReader(f, window))
	lines := bytes.SplitAfter(raw, []byte("\n"))
	if len(lines) > maxFallbackLines {
		lines = lines[len(lines)-maxFallbackLines:]
	}
	var out []byte
	for _, line := range lines {
		fields := bytes.SplitN(line, []byte(" "), 4)
		if len(fields) < 4 {
			continue
		}
		text := fields[3]
		if string(fields[2]) == "P" {
			text = bytes.TrimSuffix(text, []byte("\n"))
		}
		out = append(out, text...)
	}
	if len(out) > maxFallbackBytes {
		out = out[len(out)-maxFallbackBytes:]
	}
	return string(out)
}
