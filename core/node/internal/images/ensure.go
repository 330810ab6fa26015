package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"

	"github.com/pintle-io/pintle/core/node/internal/plugins"
	"github.com/pintle-io/pintle/core/node/internal/podspec"
	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

const (
	initialBackoff = 10 * time.Second
	maxBackoff     = 5 * time.Minute
	getTimeout     = 30 * time.Second
	// parallelPulls share the node's network and disk.
	parallelPulls = 5
	// stalledAfter ends a pull that makes no progress.
	stalledAfter = 5 * time.Minute
)

// Reasons for which a container waits for its image, as Kubernetes names them.
const (
	ReasonPull      = "ErrImagePull"
	ReasonBackOff   = "ImagePullBackOff"
	ReasonNeverPull = "ErrImageNeverPull"
	ReasonInspect   = "ImageInspectError"
	ReasonInvalid   = "InvalidImageName"
)

// Error says why an image is not there, and when trying again makes sense.
type Error struct {
	Reason, Message string
	RetryAfter      time.Duration
	Err             error
}

func (e *Error) Error() string { return e.Reason + ": " + e.Message }
func (e *Error) Unwrap() error { return e.Err }

// Options of a Manager.
type Options struct {
	Plugins plugins.Lookup
	Objects podspec.Objects
	Events  record.EventRecorder
	Clock   clock.Clock
	Log     *slog.Logger
}

// Manager of the node's images.
type Manager struct {
	o       Options
	backoff *flowcontrol.Backoff
	slots   chan struct{}

	mu       sync.Mutex
	pulls    map[string]*pull
	failures map[string]string // backoff key to the last error's words
	seen     map[string]use
}

// pull is one pull under way, for everybody who waits for it.
type pull struct {
	waiters int
	cancel  context.CancelFunc
	done    chan struct{}
	image   *pluginv1.Image
	err     error
}

// New makes a Manager.
func New(o Options) *Manager {
	return &Manager{
		o:        o,
		backoff:  flowcontrol.NewFakeBackOff(initialBackoff, maxBackoff, o.Clock),
		slots:    make(chan struct{}, parallelPulls),
		pulls:    map[string]*pull{},
		failures: map[string]string{},
		seen:     map[string]use{},
	}
}

// Policy is the pull policy of a container, defaulted as the API does.
func Policy(c *corev1.Container) corev1.PullPolicy {
	if c.ImagePullPolicy != "" {
		return c.ImagePullPolicy
	}
	name := c.Image[strings.LastIndexByte(c.Image, '/')+1:]
	if tag := strings.LastIndexByte(name, ':'); tag < 0 && !strings.Contains(name, "@") || strings.HasSuffix(name, ":latest") {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

// Ensure returns the container's image once it is on the node. Errors are of
// type *Error but for the context's.
func (m *Manager) Ensure(ctx context.Context, pod *corev1.Pod, c *corev1.Container, about *corev1.ObjectReference) (*pluginv1.Image, error) {
	rt, err := m.o.Plugins.Runtime()
	if err != nil {
		return nil, &Error{Reason: ReasonInspect, Message: errs.Text(err), RetryAfter: time.Second, Err: err}
	}
	policy := Policy(c)
	getCtx, cancel := context.WithTimeout(ctx, getTimeout)
	res, err := rt.GetImage(getCtx, &pluginv1.GetImageRequest{Image: c.Image})
	cancel()
	switch {
	case err == nil && policy != corev1.PullAlways:
		m.o.Events.Eventf(about, corev1.EventTypeNormal, "Pulled", "Container image %q already present on machine", c.Image)
		return res.Image, nil
	case errs.Is(err, errs.ClassInvalidArgument):
		m.o.Events.Eventf(about, corev1.EventTypeWarning, "InspectFailed", "Failed to apply default image tag %q: %s", c.Image, errs.Text(err))
		return nil, &Error{Reason: ReasonInvalid, Message: fmt.Sprintf("Failed to apply default image tag %q: %s", c.Image, errs.Text(err)), RetryAfter: maxBackoff, Err: err}
	case err != nil && !errs.Is(err, errs.ClassNotFound):
		return nil, &Error{Reason: ReasonInspect, Message: fmt.Sprintf("Failed to inspect image %q: %s", c.Image, errs.Text(err)), RetryAfter: time.Second, Err: err}
	case policy == corev1.PullNever && err != nil:
		text := fmt.Sprintf("Container image %q is not present with pull policy of Never", c.Image)
		m.o.Events.Event(about, corev1.EventTypeWarning, ReasonNeverPull, text)
		return nil, &Error{Reason: ReasonNeverPull, Message: text, RetryAfter: initialBackoff, Err: err}
	case policy == corev1.PullNever:
		return res.Image, nil
	}
	return m.pull(ctx, pod, c, about)
}

func (m *Manager) pull(ctx context.Context, pod *corev1.Pod, c *corev1.Container, about *corev1.ObjectReference) (*pluginv1.Image, error) {
	key := string(pod.UID) + "_" + c.Image
	now := m.o.Clock.Now()
	if m.backoff.IsInBackOffSinceUpdate(key, now) {
		m.mu.Lock()
		last := m.failures[key]
		m.mu.Unlock()
		text := fmt.Sprintf("Back-off pulling image %q", c.Image)
		m.o.Events.Event(about, corev1.EventTypeNormal, "BackOff", text)
		if last != "" {
			text += ": " + ReasonPull + ": " + last
		}
		return nil, &Error{Reason: ReasonBackOff, Message: text, RetryAfter: m.backoff.Get(key)}
	}
	m.o.Events.Eventf(about, corev1.EventTypeNormal, "Pulling", "Pulling image %q", c.Image)
	auths, err := m.auths(ctx, pod, c.Image)
	if err != nil {
		m.o.Events.Eventf(about, corev1.EventTypeWarning, "FailedToRetrieveImagePullSecret",
			"Unable to retrieve some image pull secrets; attempting to pull the image may not succeed: %s", err)
	}
	image, err := m.shared(ctx, c.Image, auths)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		text := errs.Text(err)
		m.o.Events.Eventf(about, corev1.EventTypeWarning, "Failed", "Failed to pull image %q: %s", c.Image, text)
		retry := time.Second
		if !errs.Is(err, errs.ClassPluginGone) {
			m.backoff.Next(key, m.o.Clock.Now())
			m.mu.Lock()
			m.failures[key] = text
			m.mu.Unlock()
		}
		return nil, &Error{Reason: ReasonPull, Message: text, RetryAfter: retry, Err: err}
	}
	m.backoff.DeleteEntry(key)
	m.mu.Lock()
	delete(m.failures, key)
	m.mu.Unlock()
	m.o.Events.Eventf(about, corev1.EventTypeNormal, "Pulled", "Successfully pulled image %q in %s. Image size: %d bytes.",
		c.Image, m.o.Clock.Since(now).Truncate(time.Millisecond), image.GetSizeBytes())
	return image, nil
}

// Forget drops what is remembered of a pod's failed pulls.
func (m *Manager) Forget(pod *corev1.Pod) {
	for _, c := range podspec.AllContainers(pod) {
		key := string(pod.UID) + "_" + c.Image
		m.backoff.DeleteEntry(key)
		m.mu.Lock()
		delete(m.failures, key)
		m.mu.Unlock()
	}
}

// shared joins the pull of the same image with the same credentials, or begins
// it. The pull ends when nobody waits for it any more.
func (m *Manager) shared(ctx context.Context, image string, auths []*pluginv1.RegistryAuth) (*pluginv1.Image, error) {
	h := sha256.New()
	for _, a := range auths {
		fmt.Fprintf(h, "%q%q%q%q", a.Username, a.Password, a.IdentityToken, a.RegistryToken)
	}
	key := image + "@" + hex.EncodeToString(h.Sum(nil))
	m.mu.Lock()
	p := m.pulls[key]
	if p == nil {
		pctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		p = &pull{cancel: cancel, done: make(chan struct{})}
		m.pulls[key] = p
		go func() {
			p.image, p.err = m.one(pctx, image, auths)
			m.mu.Lock()
			if m.pulls[key] == p {
				delete(m.pulls, key)
			}
			m.mu.Unlock()
			cancel()
			close(p.done)
		}()
	}
	p.waiters++
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		if p.waiters--; p.waiters == 0 {
			p.cancel()
			if m.pulls[key] == p {
				delete(m.pulls, key)
			}
		}
		m.mu.Unlock()
	}()
	select {
	case <-p.done:
		return p.image, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// one pulls, in one of the slots, and gives up when nothing moves.
func (m *Manager) one(ctx context.Context, image string, auths []*pluginv1.RegistryAuth) (*pluginv1.Image, error) {
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	rt, err := m.o.Plugins.Runtime()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := errs.DeadlineExceeded("pulling image %q made no progress for %s", image, stalledAfter)
	timer := time.AfterFunc(stalledAfter, func() { cancel(stalled) })
	defer timer.Stop()
	var last int64
	res, err := rt.PullImage(ctx, &pluginv1.PullImageRequest{Image: image, Auths: auths}, func(p *pluginv1.PullImageResponse) {
		if p.DoneBytes != last {
			last = p.DoneBytes
			timer.Reset(stalledAfter)
		}
	})
	if err != nil && context.Cause(ctx) == error(stalled) {
		return nil, stalled
	}
	return res, err
}
