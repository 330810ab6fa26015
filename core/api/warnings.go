package api

import (
	"context"
	"slices"
	"sync"
)

// maxWarnings bounds the warnings of one request.
const maxWarnings = 64

// Warnings collects the warnings of one request. The zero value is ready.
type Warnings struct {
	mu   sync.Mutex
	list []string
}

// Add records a warning; one that is there already, or one too many, is
// dropped.
func (w *Warnings) Add(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.list) < maxWarnings && !slices.Contains(w.list, text) {
		w.list = append(w.list, text)
	}
}

// List returns the warnings in the order in which they came.
func (w *Warnings) List() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}

type warningsKey struct{}

// WithWarnings makes a request's warnings go to w.
func WithWarnings(ctx context.Context, w *Warnings) context.Context {
	return context.WithValue(ctx, warningsKey{}, w)
}

// AddWarning records a warning for the client of a request, in at most about
// 120 characters and without "Warning:" before it.
func AddWarning(ctx context.Context, text string) {
	if w, ok := ctx.Value(warningsKey{}).(*Warnings); ok {
		w.Add(text)
	}
}

func addWarnings(ctx context.Context, texts []string) {
	for _, t := range texts {
		AddWarning(ctx, t)
	}
}
