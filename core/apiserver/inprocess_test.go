package apiserver_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pintle-io/pintle/core/apiserver"
	"github.com/pintle-io/pintle/core/auth"
)

func roundTrip(t *testing.T, ctx context.Context, body io.Reader, h http.HandlerFunc) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://in-process/path?q=1", body)
	if err != nil {
		t.Fatal(err)
	}
	return apiserver.InProcessConfig(h, auth.Admin()).Transport.RoundTrip(r)
}

func TestInProcessAnswer(t *testing.T) {
	resp, err := roundTrip(t, t.Context(), strings.NewReader("question"), func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "question" || r.URL.Path != "/path" || r.RequestURI != "/path?q=1" || r.Host != "in-process" {
			t.Errorf("%q %v %s %s %s", body, err, r.URL.Path, r.RequestURI, r.Host)
		}
		w.Header().Set("X-Test", "1")
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("X-Late", "1")
		io.WriteString(w, "answer")
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "answer" || resp.StatusCode != http.StatusTeapot || resp.ContentLength != 6 {
		t.Errorf("%q %v %d %d", body, err, resp.StatusCode, resp.ContentLength)
	}
	if resp.Header.Get("X-Test") != "1" || resp.Header.Get("X-Late") != "" {
		t.Errorf("header %v", resp.Header)
	}
}

// What is flushed is read while the handler goes on, and a reader that goes
// away ends it.
func TestInProcessStream(t *testing.T) {
	ended := make(chan error, 1)
	resp, err := roundTrip(t, t.Context(), nil, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		_, err := w.Write([]byte("too late"))
		ended <- err
	})
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != "first" {
		t.Fatalf("%q %v", buf, err)
	}
	resp.Body.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("write after the end: %v", err)
	}
	if _, err := resp.Body.Read(buf); err == nil {
		t.Error("read after the end")
	}
}

// A handler waits for its reader instead of buffering without end.
func TestInProcessBound(t *testing.T) {
	const total = 4 << 20
	wrote := make(chan int, 1)
	progress := make(chan struct{})
	resp, err := roundTrip(t, t.Context(), nil, func(w http.ResponseWriter, r *http.Request) {
		chunk, n := make([]byte, 1<<10), 0
		for n < total {
			m, err := w.Write(chunk)
			if n += m; err != nil {
				break
			}
			if n == 256<<10 {
				close(progress)
			}
		}
		wrote <- n
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-progress
	select {
	case n := <-wrote:
		t.Fatalf("%d bytes were taken without a reader", n)
	case <-time.After(50 * time.Millisecond):
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || n != total || <-wrote != total {
		t.Errorf("read %d, %v", n, err)
	}
}

func TestInProcessAbort(t *testing.T) {
	_, err := roundTrip(t, t.Context(), nil, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if err == nil {
		t.Error("an aborted answer looks complete")
	}
	resp, err := roundTrip(t, t.Context(), nil, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("an aborted answer looks complete: %q", body)
	}
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	go func() {
		time.Sleep(10 * time.Millisecond)
		cancel()
	}()
	_, err = roundTrip(t, ctx, nil, func(http.ResponseWriter, *http.Request) { <-release })
	close(release)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a request whose context ended: %v", err)
	}
}
