package apiserver

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/apiserver/internal/codec"
	"github.com/pintle-io/pintle/core/apiserver/internal/negotiate"
	"github.com/pintle-io/pintle/core/registry"
)

// framer turns the events of one watch into frames of its stream: a line of
// JSON, or a length and protobuf.
type framer struct {
	resource *resource
	out      negotiate.Output
	table    metav1.TableOptions
	headers  bool
	scratch  []byte
}

func newFramer(res *resource, out negotiate.Output, table metav1.TableOptions) *framer {
	out.Pretty = false
	return &framer{resource: res, out: out, table: table, headers: true}
}

func (f *framer) contentType() string {
	if f.out.Format == negotiate.Protobuf {
		return runtime.ContentTypeProtobuf + ";stream=watch"
	}
	return runtime.ContentTypeJSON
}

// frameKey finds a frame among what is derived from a store event. The kind is
// part of it, since two kinds may show one stored object; the table's age
// column makes tables each watcher's own.
type frameKey struct {
	kind   *registry.Kind
	event  watch.EventType
	format negotiate.Format
	as     schema.GroupVersionKind
}

// frame returns the bytes of an event, which are shared with other watchers or
// valid until the next call.
func (f *framer) frame(e *api.Event) ([]byte, error) {
	switch {
	case e.Type == watch.Error:
		status, err := e.Object()
		if err != nil {
			return nil, err
		}
		return f.appendObject(nil, e.Type, statusKind, status)
	case isTable(f.out) && e.Type == watch.Bookmark:
		return f.tableBookmark(e)
	case isTable(f.out):
		return f.tableFrame(e)
	case e.Raw == nil:
		var err error
		f.scratch, err = f.append(f.scratch[:0], e)
		return f.scratch, err
	}
	frame, err := e.Raw.Derived.Do(frameKey{f.resource.kind, e.Type, f.out.Format, f.out.As}, func() (any, error) {
		return f.append(nil, e)
	})
	if err != nil {
		return nil, err
	}
	return frame.([]byte), nil
}

// append encodes the frame of an event with an object.
func (f *framer) append(dst []byte, e *api.Event) ([]byte, error) {
	if !f.out.As.Empty() {
		obj, err := e.Object()
		if err != nil {
			return dst, err
		}
		meta, ok := obj.(metav1.ObjectMetaAccessor)
		if !ok {
			return dst, fmt.Errorf("show %T by its metadata: it has none", obj)
		}
		return f.appendObject(dst, e.Type, f.out.As, partialMetadata(meta.GetObjectMeta(), f.out.As.Version))
	}
	if f.out.Format == negotiate.Protobuf {
		obj, err := e.Object()
		if err != nil {
			return dst, err
		}
		return f.appendObject(dst, e.Type, f.resource.kind.GVK, obj)
	}
	dst, err := e.Document.AppendJSON(appendJSONHead(dst, e.Type))
	return append(dst, "}\n"...), err
}

func appendJSONHead(dst []byte, event watch.EventType) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, event...)
	return append(dst, `","object":`...)
}

// appendObject encodes a frame around any object.
func (f *framer) appendObject(dst []byte, event watch.EventType, gvk schema.GroupVersionKind, obj runtime.Object) ([]byte, error) {
	if f.out.Format == negotiate.Protobuf {
		raw, err := codec.AppendProtobuf(nil, gvk, obj)
		if err != nil {
			return dst, err
		}
		return codec.AppendProtobufFrame(dst, string(event), raw), nil
	}
	raw, err := json.Marshal(obj)
	if err != nil {
		return dst, fmt.Errorf("encode %s: %w", gvk.Kind, err)
	}
	return append(append(appendJSONHead(dst, event), raw...), "}\n"...), nil
}

// failure is the frame of an error, after which a stream ends.
func (f *framer) failure(err error) []byte {
	status := statusOf(err)
	frame, err := f.appendObject(nil, watch.Error, statusKind, status)
	if err != nil {
		return nil // a Status has no field that can't be encoded
	}
	return frame
}

// tableBookmark is a table with nothing but a revision; the one that ends the
// initial events says so in the metadata of a row.
func (f *framer) tableBookmark(e *api.Event) ([]byte, error) {
	table := &metav1.Table{ListMeta: metav1.ListMeta{ResourceVersion: api.FormatRevision(e.Revision)}, Rows: []metav1.TableRow{}}
	table.SetGroupVersionKind(f.out.As)
	if e.InitialEventsEnd {
		row := metav1.TableRow{Cells: []any{}}
		row.Object.Object = partialMetadata(&metav1.ObjectMeta{
			ResourceVersion: table.ResourceVersion,
			Annotations:     map[string]string{metav1.InitialEventsAnnotationKey: "true"},
		}, f.out.As.Version)
		table.Rows = append(table.Rows, row)
	}
	var err error
	f.scratch, err = f.appendObject(f.scratch[:0], watch.Bookmark, f.out.As, table)
	return f.scratch, err
}

// tableFrame shows an event as a table of one row; the first table of a stream
// carries the column definitions.
func (f *framer) tableFrame(e *api.Event) ([]byte, error) {
	table, err := newTable(f.out, f.resource.kind, f.table, []*api.Document{e.Document}, f.headers)
	if err != nil {
		return nil, err
	}
	f.headers = false
	table.ResourceVersion = api.FormatRevision(e.Revision)
	f.scratch, err = f.appendObject(f.scratch[:0], e.Type, f.out.As, table)
	return f.scratch, err
}
