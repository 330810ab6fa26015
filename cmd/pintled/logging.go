package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
)

// logOptions say how the log reads.
type logOptions struct{ level, format string }

func (o *logOptions) addTo(flags *pflag.FlagSet) {
	flags.StringVar(&o.level, "log-level", "info", "least level of the log: debug, info, warn or error")
	flags.StringVar(&o.format, "log-format", "text", "form of the log: text or json")
}

// start makes the log the default one, for the Kubernetes libraries too.
func (o *logOptions) start(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.level)); err != nil {
		return nil, fmt.Errorf("--log-level %q: use debug, info, warn or error", o.level)
	}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler
	switch strings.ToLower(o.format) {
	case "text":
		handler = slog.NewTextHandler(w, options)
	case "json":
		handler = slog.NewJSONHandler(w, options)
	default:
		return nil, fmt.Errorf("--log-format %q: use text or json", o.format)
	}
	log := slog.New(handler)
	slog.SetDefault(log)
	klog.SetLogger(logr.FromSlogHandler(handler))
	return log, nil
}
