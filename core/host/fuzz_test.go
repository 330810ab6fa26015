package host

import (
	"strings"
	"testing"
	"time"

	"github.com/pintle-io/pintle/sdk/errs"
)

// FuzzHandshakeError: whatever a program prints instead of the handshake, the
// error is of a class, has a reason and a bounded text.
func FuzzHandshakeError(f *testing.F) {
	for _, line := range []string{"", "1|1|unix|/x|grpc", "1|2|unix|/x|grpc|", "hello", "||||", "1|x|unix|/x|grpc", "\x00\xff|"} {
		f.Add([]byte(line), true)
		f.Add([]byte(line), false)
	}
	log := (&logBuffer{}).logger()
	f.Fuzz(func(t *testing.T, line []byte, killed bool) {
		p := &process{exe: &executable{path: "/bin/x"}, stdout: &stdoutReader{line: line}, stderr: newStderrReader(nil, nil), exitErr: errProbe}
		close(p.stderr.end)
		p.killed.Store(killed)
		err := handshakeError(p, newLogSink(log, LogLimits{}, func(int) {}), []int{1}, time.Second, errProbe)
		if errs.Is(err, errs.ClassInternal) || errs.Reason(err) == "" || len(err.Error()) > 2<<10 {
			t.Fatalf("%q gives %v (%s, %s)", line, err, errs.ClassOf(err), errs.Reason(err))
		}
	})
}

// FuzzLogLine: whatever a plugin writes to its log, a line of it costs a line.
func FuzzLogLine(f *testing.F) {
	for _, line := range []string{"", "{", `{"@message": "x", "@level": "warn", "plugin": 1, "error": {"a": []}}`, `{"@message": 3}`, "[WARN] x", "panic: x", "\r\n"} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		log := &logBuffer{}
		limits := LogLimits{}
		limits.setDefaults()
		sink := newLogSink(log.logger(), limits, func(int) {})
		sink.line("stderr", line)
		if n := strings.Count(log.String(), "\n"); n > 1 {
			t.Fatalf("%q becomes %d lines:\n%s", line, n, log)
		}
		if words := sink.lastWords(); len(words) > maxTailLine+len(" …") {
			t.Fatalf("the last words have %d bytes", len(words))
		}
	})
}
