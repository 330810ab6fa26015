package discovery

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	apidiscovery "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/apiserver/internal/codec"
	"github.com/pintle-io/pintle/core/apiserver/internal/negotiate"
	"github.com/pintle-io/pintle/core/registry"
)

// Handler serves /api, /apis and what lies below them down to the versions.
// Documents are encoded once; it is safe for concurrent use.
type Handler struct {
	documents  map[string]document
	aggregated map[string]document
}

// document keeps the object for the rarer formats and the JSON of it, which is
// what clients ask for.
type document struct {
	object runtime.Object
	gvk    schema.GroupVersionKind
	json   []byte
	etag   string
}

// New makes the documents of the kinds. address is the server's host and port
// as clients reach it.
func New(kinds *registry.Registry, address string) (*Handler, error) {
	h := &Handler{documents: map[string]document{}, aggregated: map[string]document{}}
	versions := versions(kinds)
	groups := namedGroups(versions)

	classic := map[string]runtime.Object{
		"/api":  apiVersions(address),
		"/apis": &metav1.APIGroupList{TypeMeta: typeMeta("APIGroupList"), Groups: append([]metav1.APIGroup{}, groups...)},
	}
	for _, g := range groups {
		g.TypeMeta = typeMeta("APIGroup")
		classic["/apis/"+g.Name] = &g
	}
	for _, gv := range versions {
		prefix := "/apis/" + gv.String()
		if gv.Group == "" {
			prefix = "/api/" + gv.Version
		}
		classic[prefix] = resourceList(kinds.Kinds(), gv)
	}
	for path, obj := range classic {
		if err := add(h.documents, path, obj); err != nil {
			return nil, err
		}
	}
	for path, core := range map[string]bool{"/api": true, "/apis": false} {
		if err := add(h.aggregated, path, aggregated(kinds.Kinds(), versions, core)); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func add(to map[string]document, path string, obj runtime.Object) error {
	raw, err := json.Marshal(obj)
	if err != nil {
		return fmt.Errorf("encode discovery document %s: %w", path, err)
	}
	sum := sha256.Sum256(raw)
	to[path] = document{object: obj, gvk: obj.GetObjectKind().GroupVersionKind(), json: raw, etag: `"` + strings.ToUpper(hex.EncodeToString(sum[:])) + `"`}
	return nil
}

// Serves tells whether path is one of discovery's.
func (h *Handler) Serves(path string) bool {
	_, ok := h.documents[trim(path)]
	return ok
}

func trim(path string) string { return strings.TrimSuffix(path, "/") }

// ServeHTTP answers GET and HEAD of a path that Serves accepts; the error, a
// Kubernetes status, is the caller's to write.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	path := trim(r.URL.Path)
	doc, ok := h.documents[path]
	if !ok {
		return fmt.Errorf("serve discovery: no document at %q", path)
	}
	combined, hasCombined := h.aggregated[path]
	out, err := negotiate.Accept(r, negotiate.Offer{Protobuf: true, As: func(_ negotiate.Format, as schema.GroupVersionKind) bool {
		return hasCombined && as.Group == apidiscovery.GroupName && as.Version == "v2" && as.Kind == "APIGroupDiscoveryList"
	}})
	if err != nil {
		return err
	}
	header := w.Header()
	header.Add("Vary", "Accept")
	contentType := out.Format.MediaType()
	if !out.As.Empty() {
		doc = combined
		contentType = fmt.Sprintf("%s;g=%s;v=%s;as=%s", contentType, out.As.Group, out.As.Version, out.As.Kind)
		header.Set("ETag", doc.etag)
		header.Set("Cache-Control", "public")
		if r.Header.Get("If-None-Match") == doc.etag {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	body := doc.json
	if out.Format == negotiate.Protobuf {
		body, err = codec.AppendProtobuf(nil, doc.gvk, doc.object)
	} else if out.Format == negotiate.YAML || out.Pretty {
		body, err = codec.AppendText(nil, out, doc.json)
	}
	if err != nil {
		return err
	}
	header.Set("Content-Type", contentType)
	_, _ = w.Write(body) // the connection's error is the client's loss alone
	return nil
}

// Paths lists the paths of all documents, sorted.
func (h *Handler) Paths() []string { return slices.Sorted(maps.Keys(h.documents)) }
