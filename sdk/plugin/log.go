package plugin

import (
	"io"
	"log/slog"
	"os"
	"strings"
)

// hclogTime is the format of @timestamp in the lines of hclog, which a host
// that uses go-plugin parses.
const hclogTime = "2006-01-02T15:04:05.000000Z07:00"

// newLogHandler returns a handler that writes a line of hclog's JSON a record:
// the form that hosts built on go-plugin understand.
func newLogHandler(w io.Writer, level slog.Level) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return a
			}
			switch a.Key {
			case slog.TimeKey:
				return slog.String("@timestamp", a.Value.Time().Format(hclogTime))
			case slog.LevelKey:
				return slog.String("@level", hclogLevel(a.Value))
			case slog.MessageKey:
				a.Key = "@message"
			}
			return a
		},
	})
}

// hclogLevel names a level as hclog does; levels in between round down.
func hclogLevel(v slog.Value) string {
	level, ok := v.Any().(slog.Level)
	switch {
	case !ok:
		return v.String()
	case level >= slog.LevelError:
		return "error"
	case level >= slog.LevelWarn:
		return "warn"
	case level >= slog.LevelInfo:
		return "info"
	case level >= slog.LevelDebug:
		return "debug"
	}
	return "trace"
}

// logLevel returns the level that the host asked for, info where it asked for
// none.
func logLevel() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(os.Getenv(EnvLogLevel)))); err != nil {
		return slog.LevelInfo
	}
	return level
}
