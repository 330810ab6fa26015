package apiserver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/apiserver/internal/negotiate"
)

func (c *call) watch() error {
	out, err := c.accept()
	if err != nil {
		return err
	}
	if out.As.Kind == "PartialObjectMetadataList" {
		// A watch shows single objects.
		out.As.Kind = "PartialObjectMetadata"
	}
	if out.Format == negotiate.YAML {
		return apierrors.NewGenericServerResponse(http.StatusNotAcceptable, c.r.Method, c.resource.kind.GroupResource(), "",
			"a watch can't be streamed as YAML", 0, false)
	}
	opts, query, err := c.listOptions()
	if err != nil {
		return err
	}
	var tableOpts metav1.TableOptions
	if isTable(out) {
		if tableOpts, err = parseTableOptions(query); err != nil {
			return err
		}
	}
	if c.info.Name != "" && opts.FieldSelector == "" {
		// The deprecated form /watch/…/{name} names its object in the path.
		opts.FieldSelector = fields.OneTermEqualSelector("metadata.name", c.info.Name).String()
	}
	opts.Watch = true
	timeout := c.s.watchTimeout(opts.TimeoutSeconds)
	ctx, cancel := context.WithTimeout(c.r.Context(), timeout)
	defer cancel()
	stopped := context.AfterFunc(c.s.draining, cancel)
	defer stopped()

	watch, err := c.s.api.Watch(ctx, c.collection(), opts)
	if err != nil {
		return err
	}
	defer watch.Stop()
	return c.stream(watch, newFramer(c.resource, out, tableOpts))
}

// watchTimeout is what the client asks for, else random, so that the watches
// of a restarted server do not end all at once.
func (s *Server) watchTimeout(asked *int64) time.Duration {
	if asked != nil && *asked > 0 {
		return time.Duration(min(*asked, int64(24*time.Hour/time.Second))) * time.Second
	}
	return s.opts.MinWatch + rand.N(s.opts.MinWatch)
}

// batchSize in bytes is how much of a batch of events is joined into one write.
const batchSize = 64 << 10

// stream sends events until the watch ends. Each batch is flushed as a whole.
func (c *call) stream(watch *api.Watch, f *framer) error {
	c.setWarnings()
	header := c.w.Header()
	header.Set("Content-Type", f.contentType())
	header.Set("Cache-Control", "no-cache, private")
	c.w.WriteHeader(http.StatusOK)
	if err := c.w.FlushError(); err != nil {
		return nil // the client is gone
	}
	stall := c.s.watchdog.watch(c)
	defer stall.leave()

	var buf []byte
	for batch := range watch.Events() {
		stall.begin()
		for i := range batch {
			frame, err := f.frame(&batch[i])
			if err != nil {
				c.s.log.Error("encode a watch event", "path", c.r.URL.Path, "revision", batch[i].Revision, "error", err)
				frame = f.failure(apierrors.NewInternalError(fmt.Errorf("encode the event of revision %d: %w", batch[i].Revision, err)))
				_, _ = c.w.Write(append(buf, frame...))
				return nil
			}
			if len(buf) == 0 && (i == len(batch)-1 || len(frame) >= batchSize) {
				// Nothing to join: the shared bytes go out as they are.
				if _, err := c.w.Write(frame); err != nil {
					return nil
				}
				continue
			}
			buf = append(buf, frame...)
			if len(buf) >= batchSize || i == len(batch)-1 {
				if _, err := c.w.Write(buf); err != nil {
					return nil
				}
				buf = buf[:0]
			}
		}
		if err := c.w.FlushError(); err != nil {
			return nil
		}
		stall.end()
		if cap(buf) > 2*batchSize {
			buf = nil
		}
	}
	return nil
}
