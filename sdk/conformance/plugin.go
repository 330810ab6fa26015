package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/plugin"
)

// pluginChecks are those that every plugin must pass, whatever its type.
func pluginChecks() []Check {
	return []Check{{
		ID:       "plugin.by-hand",
		Sentence: "Started by hand, without the host's cookie, an executable says what it is and exits with a status other than 0.",
		Run:      checkByHand,
	}, {
		ID:       "plugin.describe.valid",
		Sentence: "Describe names a known type, a DNS label, a version, each capability once, a schema that is JSON, and a loop exactly for schedulers and controllers.",
		Run:      checkDescription,
	}, {
		ID:       "plugin.describe.stable",
		Sentence: "Describe always gives the same answer, in one process, before and after Configure, and in the next.",
		Run:      checkDescribeStable,
	}, {
		ID:       "plugin.configure.malformed",
		Sentence: "Configure refuses what is no JSON with INVALID_ARGUMENT.",
		Run:      checkConfigureMalformed,
	}, {
		ID:       "plugin.configure.unknown-field",
		Sentence: "Configure refuses a field that it does not know with INVALID_ARGUMENT, and the message names the field.",
		Run:      checkConfigureUnknown,
	}, {
		ID:       "plugin.configure.accepts",
		Sentence: "Configure accepts a valid configuration once, and the plugin is healthy after it.",
		Run:      checkConfigure,
	}, {
		ID:       "plugin.health.prompt",
		Sentence: "Health answers within a second, at any time, also before Configure.",
		Run:      checkHealth,
	}, {
		ID:       "plugin.concurrent",
		Sentence: "Describe and Health may be called at any time, by many callers at once.",
		Run:      checkConcurrent,
	}, {
		ID:       "plugin.cancel",
		Sentence: "A call that its caller gave up costs nothing but that call.",
		Run:      checkCancel,
	}, {
		ID:       "plugin.unknown-call",
		Sentence: "A call that the plugin does not know gets UNIMPLEMENTED.",
		Run:      checkUnknownCall,
	}, {
		ID:       "plugin.message-limit",
		Sentence: "A message over the limit is refused with RESOURCE_EXHAUSTED, and the plugin works on.",
		Run:      checkMessageLimit,
	}, {
		ID:       "plugin.garbage",
		Sentence: "Garbage on the socket costs that connection and nothing else.",
		Run:      checkGarbage,
	}, {
		ID:       "plugin.exit.host-gone",
		Sentence: "The process exits by itself when the pipe from its host is at its end, and leaves no socket behind.",
		Run:      checkHostGone,
	}, {
		ID:       "plugin.exit.terminate",
		Sentence: "The process exits when it gets SIGTERM.",
		Run:      checkTerminate,
	}, {
		ID:       "plugin.crash",
		Sentence: "After kill -9 another process starts, is configured, and is healthy.",
		Run:      checkCrash,
	}}
}

func checkByHand(ctx context.Context, t *Target) error {
	ctx, cancel := context.WithTimeout(ctx, t.Options.ExitTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, t.Options.Executable)
	cmd.Env = slices.DeleteFunc(append(os.Environ(), t.Options.Env...), func(v string) bool {
		return strings.HasPrefix(v, plugin.Handshake().MagicCookieKey+"=")
	})
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	var status *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("it still ran after %s", t.Options.ExitTimeout)
	case err == nil:
		return errors.New("it exited with status 0")
	case !errors.As(err, &status):
		return err
	case len(bytes.TrimSpace(out)) == 0:
		return errors.New("it said nothing")
	}
	return nil
}

func checkDescription(_ context.Context, t *Target) error {
	d := t.Description()
	var wrong []error
	if _, err := plugin.ParseType(plugin.TypeName(d.GetType())); err != nil {
		wrong = append(wrong, err)
	}
	if err := plugin.CheckName(d.GetName()); err != nil {
		wrong = append(wrong, err)
	}
	if d.GetVersion() == "" {
		wrong = append(wrong, errors.New("it gives no version"))
	}
	seen := map[string]bool{}
	for _, c := range d.GetCapabilities() {
		if c == "" || seen[c] {
			wrong = append(wrong, fmt.Errorf("capability %q is empty or given twice", c))
		}
		seen[c] = true
	}
	if schema := d.GetConfigSchema(); len(schema) > 0 && !json.Valid(schema) {
		wrong = append(wrong, errors.New("the schema of the configuration is no JSON"))
	}
	loop := d.GetType() == pluginv1.PluginType_PLUGIN_TYPE_SCHEDULER || d.GetType() == pluginv1.PluginType_PLUGIN_TYPE_CONTROLLER
	if loop != (d.GetLoop() != nil) {
		wrong = append(wrong, fmt.Errorf("a %s gives a loop: %t", plugin.TypeName(d.GetType()), d.GetLoop() != nil))
	}
	if !loop && len(d.GetPermissions()) > 0 {
		wrong = append(wrong, fmt.Errorf("a %s takes no decisions, and declares permissions", plugin.TypeName(d.GetType())))
	}
	for _, p := range d.GetPermissions() {
		if len(p.GetResources()) == 0 || len(p.GetVerbs()) == 0 {
			wrong = append(wrong, fmt.Errorf("permission %v allows nothing", p))
		}
	}
	return errors.Join(wrong...)
}

func checkDescribeStable(ctx context.Context, t *Target) error {
	p, err := t.Launch(ctx)
	if err != nil {
		return err
	}
	defer p.Kill()
	for _, when := range []string{"in another process", "again", "after Configure"} {
		if when == "after Configure" {
			if err := t.Configure(ctx, p); err != nil {
				return err
			}
		}
		d, err := p.Plugin().Describe(ctx, &pluginv1.DescribeRequest{})
		if err != nil {
			return fmt.Errorf("Describe %s: %w", when, err)
		}
		if !proto.Equal(d, t.Description()) {
			return fmt.Errorf("Describe %s gives %v, before it gave %v", when, d, t.Description())
		}
	}
	return nil
}

// configureWith configures a fresh process with another configuration and
// returns the outcome.
func configureWith(ctx context.Context, t *Target, config string) (outcome, err error) {
	p, err := t.Launch(ctx)
	if err != nil {
		return nil, err
	}
	defer p.Kill()
	req, err := t.configureRequest()
	if err != nil {
		return nil, err
	}
	req.Config = []byte(config)
	_, outcome = p.Plugin().Configure(ctx, req)
	return outcome, nil
}

func checkConfigureMalformed(ctx context.Context, t *Target) error {
	for _, config := range []string{`{`, `{"a": `, `nonsense`, "{}}", "\x00\xff"} {
		outcome, err := configureWith(ctx, t, config)
		if err != nil {
			return err
		}
		if !errs.Is(outcome, errs.ClassInvalidArgument) {
			return fmt.Errorf("Configure with %q gives %s (%v)", config, errs.ClassOf(outcome), outcome)
		}
	}
	return nil
}

func checkConfigureUnknown(ctx context.Context, t *Target) error {
	const field = "thisFieldDoesNotExist"
	outcome, err := configureWith(ctx, t, `{"`+field+`": 1}`)
	if err != nil {
		return err
	}
	if !errs.Is(outcome, errs.ClassInvalidArgument) {
		return fmt.Errorf("Configure with an unknown field gives %s (%v)", errs.ClassOf(outcome), outcome)
	}
	if len(t.Description().GetConfigSchema()) > 0 && !strings.Contains(outcome.Error(), field) {
		return fmt.Errorf("the message does not name the field %s: %v", field, outcome)
	}
	return nil
}

func checkConfigure(ctx context.Context, t *Target) error {
	p, err := t.Launch(ctx)
	if err != nil {
		return err
	}
	defer p.Kill()
	if err := t.Configure(ctx, p); err != nil {
		return err
	}
	return healthy(ctx, p)
}

// healthy waits until a configured plugin says that it is healthy.
func healthy(ctx context.Context, p *Process) error {
	deadline := time.Now().Add(startTimeout)
	for {
		resp, err := p.Plugin().Health(ctx, &pluginv1.HealthRequest{})
		switch {
		case err != nil:
			return fmt.Errorf("Health: %w%s", err, p.stderr.quote())
		case resp.GetHealthy():
			return nil
		case resp.GetMessage() == "":
			return errors.New("it is unhealthy and does not say why")
		case time.Now().After(deadline):
			return fmt.Errorf("it is still unhealthy %s after Configure: %s", startTimeout, resp.GetMessage())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// healthPatience is more than the second that the contract gives, because the
// machine under test may be busy with other things.
const healthPatience = 5 * time.Second

func checkHealth(ctx context.Context, t *Target) error {
	p, err := t.Launch(ctx)
	if err != nil {
		return err
	}
	defer p.Kill()
	ask := func(when string) error {
		ctx, cancel := context.WithTimeout(ctx, healthPatience)
		defer cancel()
		if _, err := p.Plugin().Health(ctx, &pluginv1.HealthRequest{}); err != nil {
			return fmt.Errorf("Health %s Configure: %w", when, err)
		}
		return nil
	}
	if err := ask("before"); err != nil {
		return err
	}
	if err := t.Configure(ctx, p); err != nil {
		return err
	}
	return ask("after")
}

func checkConcurrent(ctx context.Context, t *Target) error {
	p, err := t.Process(ctx)
	if err != nil {
		return err
	}
	const callers, calls = 20, 10
	var wg sync.WaitGroup
	failed := make(chan error, callers)
	for range callers {
		wg.Go(func() {
			for range calls {
				if _, err := p.Plugin().Describe(ctx, &pluginv1.DescribeRequest{}); err != nil {
					failed <- fmt.Errorf("Describe: %w", err)
					return
				}
				if _, err := p.Plugin().Health(ctx, &pluginv1.HealthRequest{}); err != nil {
					failed <- fmt.Errorf("Health: %w", err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

func checkCancel(ctx context.Context, t *Target) error {
	p, err := t.Process(ctx)
	if err != nil {
		return err
	}
	for range 20 {
		short, cancel := context.WithCancel(ctx)
		go cancel()
		_, err := p.Plugin().Health(short, &pluginv1.HealthRequest{})
		cancel()
		if err != nil && !errs.Is(err, errs.ClassCanceled) {
			return fmt.Errorf("a canceled Health gives %s: %w", errs.ClassOf(err), err)
		}
	}
	return healthy(ctx, p)
}

func checkUnknownCall(ctx context.Context, t *Target) error {
	p, err := t.Process(ctx)
	if err != nil {
		return err
	}
	for _, method := range []string{"/pintle.plugin.v1.Plugin/Fly", "/pintle.plugin.v1.Unheard/Of"} {
		err := p.Conn().Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})
		if !errs.Is(err, errs.ClassUnimplemented) {
			return fmt.Errorf("a call of %s gives %s (%v)", method, errs.ClassOf(err), err)
		}
	}
	return nil
}

// oversize is well over the limit of one message on the plugin's side; the
// client's own is raised for the call.
const oversize = plugin.MaxMessageSize + 1<<20

func checkMessageLimit(ctx context.Context, t *Target) error {
	p, err := t.Process(ctx)
	if err != nil {
		return err
	}
	_, err = p.Plugin().Configure(ctx, &pluginv1.ConfigureRequest{Config: make([]byte, oversize)}, sendAnything)
	if !errs.Is(err, errs.ClassResourceExhausted) {
		return fmt.Errorf("a message of %d bytes gives %s (%v)", oversize, errs.ClassOf(err), err)
	}
	return healthy(ctx, p)
}

func checkGarbage(ctx context.Context, t *Target) error {
	p, err := t.Launch(ctx)
	if err != nil {
		return err
	}
	defer p.Kill()
	if err := t.Configure(ctx, p); err != nil {
		return err
	}
	if _, err := p.socket(); errs.Is(err, errs.ClassNotFound) {
		return Skip("the plugin's socket is not in PLUGIN_UNIX_SOCKET_DIR")
	}
	for _, garbage := range [][]byte{
		nil,
		[]byte("GET / HTTP/1.0\r\n\r\n"),
		bytes.Repeat([]byte{0xff}, 1<<16),
		// A valid HTTP/2 preface followed by a frame that lies about its size.
		append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0xff, 0xff, 0xff, 4, 0, 0, 0, 0, 0),
	} {
		short, cancel := context.WithTimeout(ctx, healthPatience)
		err := p.writeRaw(short, garbage)
		cancel()
		if err != nil {
			return fmt.Errorf("write garbage to the socket: %w", err)
		}
	}
	return healthy(ctx, p)
}

func checkHostGone(ctx context.Context, t *Target) error {
	p, err := t.Launch(ctx)
	if err != nil {
		return err
	}
	defer p.Kill()
	if err := t.Configure(ctx, p); err != nil {
		return err
	}
	if err := p.hostPipe.Close(); err != nil {
		return err
	}
	if err := waitExit(ctx, p, "its host went away"); err != nil {
		return err
	}
	if path, err := p.socket(); err == nil {
		return fmt.Errorf("it left its socket %s behind", path)
	}
	return nil
}

func checkTerminate(ctx context.Context, t *Target) error {
	p, err := t.Launch(ctx)
	if err != nil {
		return err
	}
	defer p.Kill()
	if err := t.Configure(ctx, p); err != nil {
		return err
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return waitExit(ctx, p, "SIGTERM")
}

func waitExit(ctx context.Context, p *Process, after string) error {
	select {
	case <-p.Exited():
		return nil
	case <-time.After(p.patience):
		return fmt.Errorf("the process still runs %s after %s", p.patience, after)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func checkCrash(ctx context.Context, t *Target) error {
	if err := t.Crash(ctx); err != nil {
		return err
	}
	p, err := t.Process(ctx)
	if err != nil {
		return fmt.Errorf("start after kill -9: %w", err)
	}
	return healthy(ctx, p)
}
