package badger

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// badgerLogger passes on what Badger says about itself: what it calls
// information is detail to us.
type badgerLogger struct{ log *slog.Logger }

func (l badgerLogger) say(level slog.Level, format string, args []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}

func (l badgerLogger) Errorf(format string, args ...any)   { l.say(slog.LevelError, format, args) }
func (l badgerLogger) Warningf(format string, args ...any) { l.say(slog.LevelWarn, format, args) }
func (l badgerLogger) Infof(format string, args ...any)    { l.say(slog.LevelDebug, format, args) }
func (l badgerLogger) Debugf(string, ...any)               {}
