package apiserver

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pintle-io/pintle/core/apiserver/internal/request"
)

// podLog streams a container's log from its node.
func (c *call) podLog() error {
	values := c.r.URL.Query()
	params, err := logParams(values)
	if err != nil {
		return err
	}
	pod, err := c.streamedPod(c.info.Name)
	if err != nil {
		return err
	}
	name, err := container(pod, values.Get("container"))
	if err != nil {
		return err
	}
	if pod.Spec.NodeName == "" {
		// A pod that was never on a node has written nothing.
		c.w.Header().Set("Content-Type", "text/plain")
		c.w.WriteHeader(http.StatusOK)
		return nil
	}
	location, err := c.s.nodes.location(c.asServer(), pod.Spec.NodeName, pod.Name,
		"/containerLogs/"+url.PathEscape(pod.Namespace)+"/"+url.PathEscape(pod.Name)+"/"+url.PathEscape(name), params)
	if err != nil {
		return err
	}
	return c.streamFrom(location)
}

// logParams checks the parameters of a log request and keeps those that the
// node needs.
func logParams(values url.Values) (url.Values, error) {
	params := url.Values{}
	for _, key := range []string{"follow", "previous", "timestamps"} {
		if request.Bool(values[key]) {
			params.Set(key, "true")
		}
	}
	for key, least := range map[string]int64{"tailLines": 0, "sinceSeconds": 1, "limitBytes": 1} {
		text := values.Get(key)
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < least {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("%s: invalid value %q: must be a whole number, %d or greater", key, text, least))
		}
		params.Set(key, text)
	}
	if since := values.Get("sinceTime"); since != "" {
		if params.Has("sinceSeconds") {
			return nil, apierrors.NewBadRequest("at most one of `sinceTime` or `sinceSeconds` may be specified")
		}
		if _, err := time.Parse(time.RFC3339, since); err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("sinceTime: invalid value %q: must be an RFC 3339 time", since))
		}
		params.Set("sinceTime", since)
	}
	switch stream := values.Get("stream"); stream {
	case "", "All":
	case "Stdout", "Stderr":
		params.Set("stream", stream)
	default:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("stream: unsupported value %q: supported values: \"All\", \"Stdout\", \"Stderr\"", stream))
	}
	return params, nil
}

// streamFrom sends on what a node answers, as it comes.
func (c *call) streamFrom(location *url.URL) error {
	r, err := http.NewRequestWithContext(c.r.Context(), http.MethodGet, location.String(), nil)
	if err != nil {
		return fmt.Errorf("make a request to %s: %w", location.Host, err)
	}
	resp, err := c.s.nodes.transport.RoundTrip(r)
	if err != nil {
		return unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return c.nodeError(resp)
	}
	contentType := resp.Header.Get("Content-Type")
	if contentType == "" {
		contentType = "text/plain"
	}
	c.w.Header().Set("Content-Type", contentType)
	c.w.WriteHeader(http.StatusOK)
	if c.r.Method == http.MethodHead {
		return nil
	}
	stall := c.s.watchdog.watch(c)
	defer stall.leave()
	buf := make([]byte, 32<<10)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			stall.begin()
			if _, err := c.w.Write(buf[:n]); err != nil {
				return nil // the client is gone
			}
			if err := c.w.FlushError(); err != nil {
				return nil
			}
			stall.end()
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && c.r.Context().Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("read from node %s: %w", location.Host, err)
		}
	}
}

// nodeError passes on what a node's agent complains of.
func (c *call) nodeError(resp *http.Response) error {
	const most = 50_000 // bytes
	text, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return unreachable(err)
	}
	switch resp.StatusCode {
	case http.StatusBadRequest:
		return apierrors.NewBadRequest(string(text))
	case http.StatusInternalServerError:
		return apierrors.NewInternalError(errors.New(string(text)))
	}
	return apierrors.NewGenericServerResponse(resp.StatusCode, "", c.resource.kind.GroupResource(), c.info.Name, string(text), 0, false)
}
