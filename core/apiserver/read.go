package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/apiserver/internal/codec"
	"github.com/pintle-io/pintle/core/apiserver/internal/negotiate"
)

func (c *call) get() error {
	out, err := c.accept()
	if err != nil {
		return err
	}
	var opts api.GetOptions
	if c.r.URL.RawQuery != "" {
		query := c.r.URL.Query()
		if err := metav1.Convert_url_Values_To_v1_GetOptions(&query, &opts, nil); err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
	}
	doc, err := c.s.api.GetDocument(c.r.Context(), c.target(), opts)
	if err != nil {
		return err
	}
	return c.answerDocument(http.StatusOK, out, doc)
}

// answerDocument answers with one object, in the form that the client wants.
func (c *call) answerDocument(code int, out negotiate.Output, doc *api.Document) error {
	if !out.As.Empty() && doc.Kind() != nil {
		return c.answerDocumentAs(code, out, doc)
	}
	c.setWarnings()
	if out.Format == negotiate.JSON && !out.Pretty {
		a := newAnswer(&c.w, c.r, code, runtime.ContentTypeJSON)
		var err error
		if a.buf, err = doc.AppendJSON(a.buf); err != nil {
			a.discard()
			return err
		}
		a.buf = append(a.buf, '\n')
		a.finish()
		return nil
	}
	a := newAnswer(&c.w, c.r, code, out.Format.MediaType())
	var err error
	if a.buf, err = appendDocument(a.buf, out, doc); err != nil {
		a.discard()
		return err
	}
	a.finish()
	return nil
}

// appendDocument encodes a document in any format.
func appendDocument(dst []byte, out negotiate.Output, doc *api.Document) ([]byte, error) {
	if out.Format == negotiate.Protobuf {
		obj, err := doc.Object()
		if err != nil {
			return dst, err
		}
		return codec.AppendProtobuf(dst, documentGVK(doc, obj), obj)
	}
	raw, err := doc.JSON()
	if err != nil {
		return dst, err
	}
	return codec.AppendText(dst, out, raw)
}

func documentGVK(doc *api.Document, obj runtime.Object) schema.GroupVersionKind {
	if k := doc.Kind(); k != nil && obj.GetObjectKind().GroupVersionKind().Kind == "" {
		return k.GVK
	}
	return obj.GetObjectKind().GroupVersionKind()
}

// listOptions reads the query of a list, watch or deletecollection.
func (c *call) listOptions() (api.ListOptions, url.Values, error) {
	var opts api.ListOptions
	if c.r.URL.RawQuery == "" {
		return opts, nil, nil
	}
	query := c.r.URL.Query()
	if err := metav1.Convert_url_Values_To_v1_ListOptions(&query, &opts, nil); err != nil {
		return opts, nil, apierrors.NewBadRequest(err.Error())
	}
	return opts, query, nil
}

// hasLimit tells whether a list's raw query bounds the answer, without parsing
// all of it: it only weighs the request.
func hasLimit(query string) bool {
	i := strings.Index(query, "limit=")
	return i >= 0 && (i == 0 || query[i-1] == '&') && len(query) > i+6 && query[i+6] != '0' && query[i+6] != '&'
}

func (c *call) list() error {
	out, err := c.accept()
	if err != nil {
		return err
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
	list, err := c.s.api.ListDocuments(c.r.Context(), c.collection(), opts)
	if err != nil {
		return err
	}
	return c.answerList(out, tableOpts, list)
}

// answerList answers with objects in the form that the client wants.
func (c *call) answerList(out negotiate.Output, tableOpts metav1.TableOptions, list *api.DocumentList) error {
	switch {
	case isTable(out):
		return c.answerTable(out, tableOpts, list)
	case !out.As.Empty():
		return c.answerMetadataList(out, list)
	}
	c.setWarnings()
	switch {
	case out.Format == negotiate.Protobuf:
		return c.answerProtobufList(list)
	case out.Format == negotiate.JSON && !out.Pretty:
		return c.answerJSONList(list)
	}
	raw, err := c.appendList(nil, list, nil)
	if err != nil {
		return err
	}
	a := newAnswer(&c.w, c.r, http.StatusOK, out.Format.MediaType())
	if a.buf, err = codec.AppendText(a.buf, out, raw); err != nil {
		a.discard()
		return err
	}
	a.finish()
	return nil
}

func listMeta(list *api.DocumentList) metav1.ListMeta {
	return metav1.ListMeta{
		ResourceVersion:    api.FormatRevision(list.Revision),
		Continue:           list.Continue,
		RemainingItemCount: list.Remaining,
	}
}

// answerJSONList sends the stored bytes of the items one after the other.
func (c *call) answerJSONList(list *api.DocumentList) error {
	a := newAnswer(&c.w, c.r, http.StatusOK, runtime.ContentTypeJSON)
	buf, err := c.appendList(a.buf, list, func(buf []byte) []byte {
		a.buf = buf
		a.spill()
		return a.buf
	})
	if a.buf = buf; err != nil {
		if a.started {
			// Part of the list is on its way: cut the answer off.
			panic(http.ErrAbortHandler)
		}
		a.discard()
		return err
	}
	a.buf = append(a.buf, '\n')
	a.finish()
	return nil
}

// appendList appends the list as JSON; spill, where there is one, may take
// what was appended so far after each item.
func (c *call) appendList(dst []byte, list *api.DocumentList, spill func([]byte) []byte) ([]byte, error) {
	meta, err := json.Marshal(listMeta(list))
	if err != nil {
		return dst, fmt.Errorf("encode the metadata of a list: %w", err)
	}
	dst = append(append(append(dst, c.resource.listHead...), meta...), `,"items":[`...)
	for i := range list.Items {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = list.Items[i].AppendJSON(dst); err != nil {
			return dst, err
		}
		if spill != nil {
			dst = spill(dst)
		}
	}
	return append(dst, "]}"...), nil
}

func (c *call) answerProtobufList(list *api.DocumentList) error {
	items := make([]runtime.Object, len(list.Items))
	for i := range list.Items {
		obj, err := list.Items[i].Object()
		if err != nil {
			return err
		}
		items[i] = obj
	}
	meta := listMeta(list)
	a := newAnswer(&c.w, c.r, http.StatusOK, runtime.ContentTypeProtobuf)
	var err error
	if a.buf, err = codec.AppendProtobufList(a.buf, c.resource.listGVK, &meta, items); err != nil {
		a.discard()
		return err
	}
	a.finish()
	return nil
}
