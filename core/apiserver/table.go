package apiserver

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pintle-io/pintle/core/api"
	"github.com/pintle-io/pintle/core/apiserver/internal/negotiate"
	"github.com/pintle-io/pintle/core/registry"
)

func isTable(out negotiate.Output) bool { return out.As.Kind == "Table" }

func parseTableOptions(query url.Values) (metav1.TableOptions, error) {
	var opts metav1.TableOptions
	if query != nil {
		if err := metav1.Convert_url_Values_To_v1_TableOptions(&query, &opts, nil); err != nil {
			return opts, apierrors.NewBadRequest(err.Error())
		}
	}
	if errs := validation.ValidateTableOptions(&opts); len(errs) > 0 {
		return opts, apierrors.NewBadRequest(fmt.Sprintf("unable to show a table: %v", errs.ToAggregate()))
	}
	return opts, nil
}

// defaultColumns serve kinds that define none.
var defaultColumns = []metav1.TableColumnDefinition{
	{Name: "Name", Type: "string", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"]},
	{Name: "Created At", Type: "date", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"]},
}

// columns of a kind's table.
func columns(k *registry.Kind) []metav1.TableColumnDefinition {
	if k.Row == nil {
		return defaultColumns
	}
	return k.Columns
}

// tableRow shows one object as a row.
func tableRow(k *registry.Kind, obj runtime.Object, include metav1.IncludeObjectPolicy, version string, now metav1.Time) (metav1.TableRow, error) {
	meta, ok := obj.(metav1.ObjectMetaAccessor)
	if !ok {
		return metav1.TableRow{}, fmt.Errorf("show %T as a table row: it has no metadata", obj)
	}
	var row metav1.TableRow
	if k.Row != nil {
		row.Cells = k.Row(obj, now)
	} else {
		m := meta.GetObjectMeta()
		row.Cells = []any{m.GetName(), m.GetCreationTimestamp().Time.UTC().Format(time.RFC3339)}
	}
	switch include {
	case metav1.IncludeNone:
	case metav1.IncludeObject:
		row.Object.Object = obj
	default:
		row.Object.Object = partialMetadata(meta.GetObjectMeta(), version)
	}
	return row, nil
}

// newTable makes a table of documents. version is that of the Table itself and
// of the metadata in it.
func newTable(out negotiate.Output, k *registry.Kind, opts metav1.TableOptions, docs []*api.Document, headers bool) (*metav1.Table, error) {
	table := &metav1.Table{Rows: make([]metav1.TableRow, 0, len(docs))}
	table.SetGroupVersionKind(out.As)
	if headers {
		table.ColumnDefinitions = columns(k)
	}
	now := metav1.Now()
	for _, doc := range docs {
		obj, err := doc.Object()
		if err != nil {
			return nil, err
		}
		row, err := tableRow(k, obj, opts.IncludeObject, out.As.Version, now)
		if err != nil {
			return nil, err
		}
		table.Rows = append(table.Rows, row)
	}
	return table, nil
}

func (c *call) answerTable(out negotiate.Output, opts metav1.TableOptions, list *api.DocumentList) error {
	table, err := newTable(out, c.resource.kind, opts, pointers(list.Items), true)
	if err != nil {
		return err
	}
	table.ListMeta = listMeta(list)
	c.answerObject(http.StatusOK, out, out.As, table)
	return nil
}

// answerDocumentAs shows one object as a table of one row or by its metadata.
func (c *call) answerDocumentAs(code int, out negotiate.Output, doc *api.Document) error {
	obj, err := doc.Object()
	if err != nil {
		return err
	}
	if isTable(out) {
		opts, err := parseTableOptions(c.r.URL.Query())
		if err != nil {
			return err
		}
		table, err := newTable(out, doc.Kind(), opts, []*api.Document{doc}, true)
		if err != nil {
			return err
		}
		if meta, ok := obj.(metav1.ObjectMetaAccessor); ok {
			table.ResourceVersion = meta.GetObjectMeta().GetResourceVersion()
		}
		c.answerObject(code, out, out.As, table)
		return nil
	}
	meta, ok := obj.(metav1.ObjectMetaAccessor)
	if !ok || out.As.Kind != "PartialObjectMetadata" {
		return apierrors.NewGenericServerResponse(http.StatusNotAcceptable, c.r.Method, c.resource.kind.GroupResource(), c.info.Name,
			fmt.Sprintf("an object can't be shown as %s", out.As.Kind), 0, false)
	}
	partial := partialMetadata(meta.GetObjectMeta(), out.As.Version)
	c.answerObject(code, out, out.As, partial)
	return nil
}

// partialMetadata shows an object by its metadata alone.
func partialMetadata(meta metav1.Object, version string) *metav1.PartialObjectMetadata {
	partial := &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: metav1.GroupName + "/" + version, Kind: "PartialObjectMetadata"},
	}
	if m, ok := meta.(*metav1.ObjectMeta); ok {
		partial.ObjectMeta = *m // shared with the object: both are only read
	}
	return partial
}

func (c *call) answerMetadataList(out negotiate.Output, list *api.DocumentList) error {
	if out.As.Kind != "PartialObjectMetadataList" {
		return apierrors.NewGenericServerResponse(http.StatusNotAcceptable, c.r.Method, c.resource.kind.GroupResource(), "",
			fmt.Sprintf("a list can't be shown as %s", out.As.Kind), 0, false)
	}
	partial := &metav1.PartialObjectMetadataList{ListMeta: listMeta(list), Items: make([]metav1.PartialObjectMetadata, len(list.Items))}
	partial.SetGroupVersionKind(out.As)
	for i := range list.Items {
		obj, err := list.Items[i].Object()
		if err != nil {
			return err
		}
		meta, ok := obj.(metav1.ObjectMetaAccessor)
		if !ok {
			return fmt.Errorf("show %T by its metadata: it has none", obj)
		}
		partial.Items[i] = *partialMetadata(meta.GetObjectMeta(), out.As.Version)
	}
	c.answerObject(http.StatusOK, out, out.As, partial)
	return nil
}

func pointers(docs []api.Document) []*api.Document {
	list := make([]*api.Document, len(docs))
	for i := range docs {
		list[i] = &docs[i]
	}
	return list
}
