package output

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLinesAreCutAsTheFormatSays(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 6, time.UTC)
	long := strings.Repeat("x", maxLine)
	for _, c := range []struct{ name, in, want string }{
		{"full line", "a\n", "F a\n"},
		{"empty line", "\n", "F \n"},
		{"two lines", "a\nb\n", "F a\nF b\n"},
		{"partial", "a", "P a\n"},
		{"carriage return is kept", "a\r\n", "F a\r\n"},
		{"greatest line", long + "\n", "F " + long + "\n"},
		{"one more", long + "y\n", "P " + long + "\nF y\n"},
		{"greatest partial", long, "P " + long + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := string(appendLines(nil, at, Stdout, []byte(c.in)))
			got = strings.ReplaceAll(got, "2026-01-02T15:04:05.000000006Z stdout ", "")
			if got != c.want {
				t.Errorf("got %.60q, want %.60q", got, c.want)
			}
		})
	}
}

// decode puts the lines of a log together again.
func decode(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(data)) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(fields) != 4 {
			t.Fatalf("%s: bad line %q", path, line)
		}
		out.WriteString(fields[3])
		if fields[2] == "F" {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

func open2(t *testing.T, dir string, isNew bool) *Streams {
	t.Helper()
	s, err := Open(Options{Paths: FIFOs(dir, false, false), LogPath: filepath.Join(dir, "log"), Logger: slog.New(slog.DiscardHandler), New: isNew})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestNothingIsLostOverRestarts stops and restarts reading while a writer
// writes without pause.
func TestNothingIsLostOverRestarts(t *testing.T) {
	dir := t.TempDir()
	paths, err := MakeFIFOs(dir, false, false)
	if err != nil {
		t.Fatal(err)
	}
	streams := open2(t, dir, true)
	// As the shim: writes, and holds a reading end.
	writer, err := os.OpenFile(paths.Stdout, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := OpenRead(paths.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	streams.Opened()

	var want bytes.Buffer
	wrote := make(chan error, 1)
	go func() {
		for i := range 20000 {
			fmt.Fprintf(&want, "line %d %s\n", i, strings.Repeat("-", i%300))
		}
		_, err := writer.Write(want.Bytes())
		_ = writer.Close()
		_ = reader.Close()
		wrote <- err
	}()
	for range 20 {
		streams.Stop()
		streams = open2(t, dir, false)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	select {
	case <-streams.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the streams did not end")
	}
	if got := decode(t, filepath.Join(dir, "log")); got != want.String() {
		t.Errorf("log has %d bytes, %d were written", len(got), want.Len())
	}
}

func TestReopenStartsANewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log, err := OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := log.Write(Stdout, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write("one\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write("two\n")
	if err := log.Reopen(); err != nil {
		t.Fatal(err)
	}
	write("three\n")
	if got := decode(t, path+".1"); got != "one\ntwo\n" {
		t.Errorf("old file: %q", got)
	}
	if got := decode(t, path); got != "three\n" {
		t.Errorf("new file: %q", got)
	}
}

func TestSlowReaderIsCutOff(t *testing.T) {
	var h hub
	slow, quick := h.attach(), h.attach()
	data := make([]byte, 4096)
	for range attachedBytes/len(data) + 1 {
		h.send(Stdout, data)
		quick.Done(<-quick.Chunks())
	}
	if !slow.Slow() || quick.Slow() {
		t.Errorf("slow reader cut off: %v, quick one: %v", slow.Slow(), quick.Slow())
	}
	n := 0
	for range slow.Chunks() {
		n++
	}
	if n != attachedBytes/len(data) {
		t.Errorf("the slow reader got %d chunks before it was cut off", n)
	}
	h.close()
	if _, ok := <-quick.Chunks(); ok || quick.Slow() {
		t.Error("the end of the output must end the quick reader, not as slow")
	}
}
