package errs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// classes are all that exist.
func classes() []Class {
	var all []Class
	for c := ClassInvalidArgument; !strings.HasPrefix(c.String(), "Class("); c++ {
		all = append(all, c)
	}
	return all
}

// TestRoundTrip: everything that an error carries survives the wire.
func TestRoundTrip(t *testing.T) {
	if len(classes()) != 12 {
		t.Errorf("there are %d classes", len(classes()))
	}
	for _, class := range classes() {
		err := error(New(class, "BecauseOfThis", "do that", errors.New("inner")).WithRetryAfter(3 * time.Second))
		if class == ClassPluginGone {
			err = New(class, "", "do that", errors.New("inner")).WithRetryAfter(3 * time.Second)
		}
		err = fmt.Errorf("outer: %w", err)
		got := FromStatus(ToStatus(err))
		if ClassOf(got) != class {
			t.Errorf("%s arrives as %s", class, ClassOf(got))
		}
		if Reason(got) != Reason(err) || Hint(got) != "do that" || got.Error() != "outer: inner" {
			t.Errorf("%s arrives as %q, reason %s, hint %q", class, got, Reason(got), Hint(got))
		}
		if d, ok := RetryAfter(got); !ok || d != 3*time.Second {
			t.Errorf("%s: retry after %v %v", class, d, ok)
		}
		// And once more, as when a plugin passes on the error of another.
		if again := FromStatus(ToStatus(got)); ClassOf(again) != class || again.Error() != got.Error() || Reason(again) != Reason(got) {
			t.Errorf("%s passed on arrives as %v", class, again)
		}
	}
}

func TestPlainErrors(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want Class
	}{
		"nil":           {nil, ClassNone},
		"plain":         {errors.New("x"), ClassInternal},
		"deadline":      {fmt.Errorf("x: %w", context.DeadlineExceeded), ClassDeadlineExceeded},
		"canceled":      {context.Canceled, ClassCanceled},
		"status":        {status.Error(codes.NotFound, "x"), ClassNotFound},
		"foreign code":  {status.Error(codes.Unauthenticated, "x"), ClassPermissionDenied},
		"unknown code":  {status.Error(codes.Code(99), "x"), ClassInternal},
		"class decides": {NotFound("x: %w", context.Canceled), ClassNotFound},
		"plugin's own":  {status.Error(codes.Unavailable, "the server is away"), ClassUnavailable},
		"transport":     {status.Error(codes.Unavailable, "error reading from server: EOF"), ClassPluginGone},
		"dial":          {status.Error(codes.Unavailable, `connection error: desc = "transport: ..."`), ClassPluginGone},
	} {
		if got := ClassOf(test.err); got != test.want {
			t.Errorf("%s: class %s, want %s", name, got, test.want)
		}
		if got := ClassOf(FromStatus(ToStatus(test.err))); got != test.want {
			t.Errorf("%s: class %s over the wire, want %s", name, got, test.want)
		}
	}
	if FromStatus(io.EOF) != io.EOF { //nolint:errorlint // the very value
		t.Error("io.EOF does not stay io.EOF")
	}
	if !errors.Is(FromStatus(status.Error(codes.DeadlineExceeded, "x")), context.DeadlineExceeded) {
		t.Error("a deadline over the wire is not context.DeadlineExceeded")
	}
	if !Is(NotFound("x"), ClassNotFound) || Is(NotFound("x"), ClassInternal) {
		t.Error("Is is wrong")
	}
}

func TestText(t *testing.T) {
	err := fmt.Errorf("start: %w", FailedPrecondition("no %s", "containerd").WithHint("install it").WithReason("Missing"))
	if got := Text(err); got != "start: no containerd (install it)" {
		t.Errorf("the text is %q", got)
	}
	if Text(nil) != "" || Text(io.EOF) != "EOF" {
		t.Error("the text of nil or a plain error is wrong")
	}
	inner := NotFound("x").WithReason("Inner").WithHint("inner")
	outer := Unavailable("y: %w", inner)
	if ClassOf(outer) != ClassUnavailable || Reason(outer) != "Inner" || Hint(outer) != "inner" {
		t.Errorf("nested: %s %s %s", ClassOf(outer), Reason(outer), Hint(outer))
	}
	if inner.WithHint("other"); Hint(inner) != "inner" {
		t.Error("WithHint changes its receiver")
	}
}

// TestLongMessages: what does not fit a trailer is cut, at a character.
func TestLongMessages(t *testing.T) {
	err := FromStatus(ToStatus(Internal("%s\xff", strings.Repeat("é", 1<<20))))
	if n := len(err.Error()); n > maxMessage || n < maxMessage/2 {
		t.Errorf("the message has %d bytes", n)
	}
	if !utf8.ValidString(err.Error()) || !strings.HasSuffix(err.Error(), "…") {
		t.Errorf("the message ends in %q", err.Error()[len(err.Error())-10:])
	}
}

func FuzzToStatus(f *testing.F) {
	f.Add("x", "Reason", "hint", uint8(2))
	f.Add("\xff\x00", "", "\xc3", uint8(200))
	f.Fuzz(func(t *testing.T, message, reason, hint string, class uint8) {
		err := New(Class(class), reason, hint, errors.New(message))
		got := ToStatus(err)
		if _, ok := status.FromError(got); !ok || got == nil {
			t.Fatalf("%#v", got)
		}
		if back := FromStatus(got); ClassOf(back) == ClassNone || !utf8.ValidString(back.Error()) {
			t.Fatalf("%#v", back)
		}
	})
}
