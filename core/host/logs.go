package host

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// LogLimits bounds what a plugin may write to the log.
type LogLimits struct {
	// LinesPerSecond and Burst admit lines; what exceeds them is dropped and
	// counted.
	LinesPerSecond float64
	Burst          int
	// BytesPerSecond bounds how fast output is read at all: a plugin that
	// writes faster waits in write(2).
	BytesPerSecond int
}

func (l *LogLimits) setDefaults() {
	if l.LinesPerSecond == 0 {
		l.LinesPerSecond = 100
	}
	if l.Burst == 0 {
		l.Burst = 1000
	}
	if l.BytesPerSecond == 0 {
		l.BytesPerSecond = 8 << 20
	}
}

const (
	maxLine       = 64 << 10 // buffer of a line reader; a longer line is cut
	maxLoggedLine = 8 << 10  // what of a line gets into the log
	maxTailLine   = 512
	tailLines     = 20
	reportDropped = 10 * time.Second
)

// logSink takes a plugin's lines into the host's log.
type logSink struct {
	log     *slog.Logger
	bytes   *rate.Limiter
	onDrop  func(n int)
	mu      sync.Mutex
	lines   *rate.Limiter
	dropped int
	first   time.Time   // of the dropped
	due     *time.Timer // reports them
	dying   bool        // in the middle of a panic's text
	tail    []tailLine
}

// tailLine is one of the last lines that a plugin wrote.
type tailLine struct {
	text  string
	fatal bool // begins the text of a panic
}

func newLogSink(log *slog.Logger, limits LogLimits, onDrop func(int)) *logSink {
	return &logSink{
		log:    log,
		onDrop: onDrop,
		bytes:  rate.NewLimiter(rate.Limit(limits.BytesPerSecond), max(limits.BytesPerSecond, maxLine)),
		lines:  rate.NewLimiter(rate.Limit(limits.LinesPerSecond), limits.Burst),
	}
}

// throttle waits until n more bytes may be read.
func (s *logSink) throttle(n int) {
	if d := s.bytes.ReserveN(time.Now(), min(n, s.bytes.Burst())).Delay(); d > 0 {
		time.Sleep(d)
	}
}

// line takes one line, without its end.
func (s *logSink) line(stream string, line []byte) {
	line = bytes.TrimRight(line, "\r\n")
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !s.lines.AllowN(now, 1) {
		if s.dropped == 0 {
			s.first = now
			// A plugin that falls silent after its flood is reported, too.
			s.due = time.AfterFunc(reportDropped, s.flush)
		}
		s.dropped++
		// The last words of a plugin that floods the log still count.
		s.remember(string(line[:min(len(line), maxTailLine)]), false)
		return
	}
	s.report()
	s.write(stream, line)
}

// flush reports what is not reported yet.
func (s *logSink) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report()
}

func (s *logSink) report() {
	if s.dropped == 0 {
		return
	}
	s.log.Warn("the plugin writes more log lines than allowed: dropped some", "dropped", s.dropped, "for", time.Since(s.first).Round(time.Millisecond))
	s.onDrop(s.dropped)
	s.dropped = 0
	s.due.Stop()
}

func (s *logSink) write(stream string, line []byte) {
	if entry, ok := parseEntry(line); ok {
		s.dying = false
		s.remember(entry.summary(), false)
		s.log.LogAttrs(context.Background(), entry.level, cut(entry.message, maxLoggedLine), entry.attrs...)
		return
	}
	text := cut(string(line), maxLoggedLine)
	level := plainLevel(text)
	fatal := isFatal(text)
	if fatal {
		s.dying = true
	}
	if s.dying {
		level = slog.LevelError
	}
	s.remember(text, fatal)
	s.log.LogAttrs(context.Background(), level, text, slog.String("stream", stream))
}

func (s *logSink) remember(text string, fatal bool) {
	if len(s.tail) == tailLines {
		// The beginning of a panic says more than the end of its traces.
		if s.dying && s.tail[0].fatal {
			return
		}
		s.tail = append(s.tail[:0], s.tail[1:]...)
	}
	s.tail = append(s.tail, tailLine{text: cut(text, maxTailLine), fatal: fatal})
}

// lastWords returns the line that most likely says why the plugin ended.
func (s *logSink) lastWords() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.tail) - 1; i >= 0; i-- {
		if s.tail[i].fatal {
			return s.tail[i].text
		}
	}
	if len(s.tail) == 0 {
		return ""
	}
	return s.tail[len(s.tail)-1].text
}

// entry is a structured line.
type entry struct {
	level   slog.Level
	message string
	attrs   []slog.Attr
}

// summary is the entry as one line of text.
func (e entry) summary() string {
	var b strings.Builder
	b.WriteString(e.message)
	for _, a := range e.attrs {
		if a.Key == "error" || a.Key == "err" {
			b.WriteString(": ")
			b.WriteString(a.Value.String())
		}
	}
	return b.String()
}

// parseEntry parses a line in the JSON form of hclog, which sdk/plugin and
// other go-plugin servers write.
func parseEntry(line []byte) (entry, bool) {
	if line[0] != '{' {
		return entry{}, false
	}
	var raw map[string]any
	if err := json.Unmarshal(line, &raw); err != nil {
		return entry{}, false
	}
	message, ok := raw["@message"].(string)
	if !ok {
		return entry{}, false
	}
	e := entry{message: message, level: slog.LevelInfo}
	if level, ok := raw["@level"].(string); ok {
		e.level = namedLevel(level)
	}
	for k, v := range raw {
		if !strings.HasPrefix(k, "@") {
			e.attrs = append(e.attrs, slog.Any(attrKey(k), v))
		}
	}
	sort.Slice(e.attrs, func(i, j int) bool { return e.attrs[i].Key < e.attrs[j].Key })
	return e, true
}

// attrKey keeps a plugin from writing over what the host says of its lines.
func attrKey(key string) string {
	switch key {
	case slog.TimeKey, slog.LevelKey, slog.MessageKey, slog.SourceKey, "plugin":
		return "plugin_" + key
	}
	return key
}

func namedLevel(name string) slog.Level {
	switch strings.ToLower(name) {
	case "trace", "debug":
		return slog.LevelDebug
	case "warn", "warning":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// plainLevel takes the level from a prefix such as "[WARN]".
func plainLevel(text string) slog.Level {
	if rest, ok := strings.CutPrefix(text, "["); ok {
		if name, _, ok := strings.Cut(rest, "]"); ok {
			return namedLevel(name)
		}
	}
	return slog.LevelInfo
}

// isFatal recognises how Go and Python begin the text of an uncaught failure.
func isFatal(text string) bool {
	for _, prefix := range []string{"panic: ", "fatal error: ", "runtime: out of memory", "Traceback (most recent call last)"} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + " …"
}
