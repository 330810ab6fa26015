// Package errs gives errors a class that survives the wire between Pintle's
// core and its plugins.
//
// An error says three things: what went wrong (its message, for a person), what
// kind of failure it is (its Class, for the caller's next step) and, where
// there is one, what to do about it (its hint). Code decides by class, never by
// message:
//
//	if errs.Is(err, errs.ClassNotFound) { ... }
//
// An author makes one with the constructor of its class and wraps it further
// with %w like any other error; the innermost Error decides class, reason and
// hint, and the whole text travels:
//
//	return errs.NotFound("image %s is not in the store", ref).
//		WithReason("ImageNotFound").
//		WithHint("import it with: pintle image import")
//
// On the wire an Error is a gRPC status whose details hold a
// pluginv1.ErrorDetail. The interceptors of this package convert both ways for
// every call, so neither an adapter nor a plugin ever does it by hand.
//
// # Classes and what a caller does
//
//	InvalidArgument     the request is wrong: don't repeat it, tell who wrote it
//	NotFound            the thing does not exist: as good as done for a delete
//	AlreadyExists       the thing exists and differs from what was asked
//	FailedPrecondition  the world is in the wrong state: repeat when that changed
//	PermissionDenied    not allowed: repeat when somebody granted it
//	ResourceExhausted   something is full: repeat later
//	Unavailable         out of reach for now: repeat with backoff
//	DeadlineExceeded    took too long; may have happened: repeat, verbs are idempotent
//	Canceled            the caller gave up
//	Unimplemented       this plugin does not offer the call: don't repeat
//	Internal            a bug or a surprise of the plugin: repeat with backoff
//	PluginGone          the plugin's process died or its connection broke: repeat
//	                    on the next instance
package errs
