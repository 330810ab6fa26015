package host

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// Reasons of a handshake that failed.
const (
	ReasonExited           = "Exited"
	ReasonBadHandshake     = "BadHandshake"
	ReasonVersionMismatch  = "VersionMismatch"
	ReasonHandshakeTimeout = "HandshakeTimeout"
)

// maxShown is how much of a wrong handshake an error shows, in bytes.
const maxShown = 120

// handshakeError explains why the handshake failed, from what the process
// wrote and how it ended; cause is go-plugin's own error.
func handshakeError(p *process, sink *logSink, versions []int, timeout time.Duration, cause error) error {
	var classed *errs.Error
	if errors.As(cause, &classed) {
		return cause
	}
	p.awaitLastWords()
	line := string(p.stdout.firstLine())
	fields := strings.Split(line, "|")
	switch {
	case line == "" && !p.killed.Load():
		return errs.New(errs.ClassFailedPrecondition, ReasonExited, "run it by hand to see more",
			fmt.Errorf("%s ended before the handshake: %w%s", p.exe.path, p.exitErr, lastWords(sink)))
	case line == "":
		return errs.New(errs.ClassDeadlineExceeded, ReasonHandshakeTimeout, "",
			fmt.Errorf("%s did not print the handshake line within %s%s", p.exe.path, timeout, lastWords(sink)))
	case len(fields) < 4:
		return badHandshake(p, line, "a plugin prints one line such as 1|1|unix|/path|grpc")
	}
	if fields[0] != strconv.Itoa(goplugin.CoreProtocolVersion) {
		return badHandshake(p, line, fmt.Sprintf("the first field is go-plugin's own version and must be %d", goplugin.CoreProtocolVersion))
	}
	version, err := strconv.Atoi(fields[1])
	if err != nil {
		return badHandshake(p, line, "the second field must be the number of the contract's version")
	}
	if !slices.Contains(versions, version) {
		return versionMismatch(p.exe.path, version, versions)
	}
	if len(fields) < 5 || fields[4] != string(goplugin.ProtocolGRPC) {
		return badHandshake(p, line, "the fifth field must be grpc")
	}
	if !p.killed.Load() {
		return errs.New(errs.ClassFailedPrecondition, ReasonExited, "",
			fmt.Errorf("%s ended right after the handshake: %w%s", p.exe.path, p.exitErr, lastWords(sink)))
	}
	return errs.New(errs.ClassFailedPrecondition, ReasonBadHandshake, "",
		fmt.Errorf("handshake with %s: %w", p.exe.path, cause))
}

func badHandshake(p *process, line, rule string) error {
	shown := line
	if len(shown) > maxShown {
		shown = shown[:maxShown]
	}
	return errs.New(errs.ClassFailedPrecondition, ReasonBadHandshake,
		"is it a plugin of Pintle, and does nothing in it print before Serve?",
		fmt.Errorf("%s printed %q on its standard output instead of the handshake: %s", p.exe.path, shown, rule))
}

func versionMismatch(path string, theirs int, ours []int) error {
	newest := slices.Max(ours)
	hint := "upgrade the plugin"
	if theirs > newest {
		hint = "upgrade pintled"
	}
	return errs.New(errs.ClassFailedPrecondition, ReasonVersionMismatch, hint,
		fmt.Errorf("%s speaks version %d of the plugin contract (pintle.plugin.v%d), this pintled version %d (pintle.plugin.v%d)",
			path, theirs, theirs, newest, newest))
}

// lastWords quotes the last line of the log for an error.
func lastWords(sink *logSink) string {
	if words := sink.lastWords(); words != "" {
		return fmt.Sprintf("; its last words: %s", words)
	}
	return ""
}

// contractName names a version as a person reads it.
func contractName(version int) string {
	return "v" + strconv.Itoa(version)
}

// supportedVersions are the contract's versions that this host speaks.
func supportedVersions(config *goplugin.ClientConfig) []int {
	versions := []int{plugin.ProtocolVersion}
	for v := range config.VersionedPlugins {
		if !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	return versions
}
