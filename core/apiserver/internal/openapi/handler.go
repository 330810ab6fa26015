package openapi

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	openapiv2 "github.com/google/gnostic-models/openapiv2"
	openapiv3 "github.com/google/gnostic-models/openapiv3"
	"github.com/klauspost/compress/gzip"
	"github.com/munnerz/goautoneg"
	"google.golang.org/protobuf/proto"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pintle-io/pintle/core/registry"
)

// Handler serves /openapi/v2 and /openapi/v3. It is safe for concurrent use.
type Handler struct {
	kinds   *registry.Registry
	version string

	mu    sync.Mutex
	built map[string]*built // by path below /openapi/, "v2" or "v3/api/v1"
}

// built is a finished document.
type built struct {
	etag string
	json packed
	// proto is made when first asked for.
	proto packed
}

// packed is compressed.
type packed []byte

// New returns the handler for the kinds. version is that of the server.
func New(kinds *registry.Registry, version string) *Handler {
	return &Handler{kinds: kinds, version: version, built: map[string]*built{}}
}

func groupPath(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "api/" + gv.Version
	}
	return "apis/" + gv.String()
}

// ServeHTTP serves a path below /openapi; the error, a Kubernetes status, is
// the caller's to write.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	switch name := strings.TrimPrefix(r.URL.Path, "/openapi/"); name {
	case "v3":
		return h.serveIndex(w, r)
	case "v2":
		return h.serveDocument(w, r, name, "com.github.proto-openapi.spec.v2")
	default:
		return h.serveDocument(w, r, name, "com.github.proto-openapi.spec.v3")
	}
}

// serveIndex lists the v3 documents with their hashes, which are the reason
// that all of them are made: clients keep a document for ever by its hash.
func (h *Handler) serveIndex(w http.ResponseWriter, r *http.Request) error {
	type entry struct {
		URL string `json:"serverRelativeURL"`
	}
	paths := map[string]entry{}
	for _, gv := range h.kinds.Versions() {
		doc, err := h.document("v3/" + groupPath(gv))
		if err != nil {
			return err
		}
		paths[groupPath(gv)] = entry{relativeURL("v3/"+groupPath(gv), doc.etag)}
	}
	raw, err := json.Marshal(map[string]any{"paths": paths})
	if err != nil {
		return fmt.Errorf("encode the index of OpenAPI documents: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	serve(w, r, hash(raw), raw)
	return nil
}

func relativeURL(name, etag string) string {
	return "/openapi/" + name + "?hash=" + url.QueryEscape(etag)
}

func (h *Handler) serveDocument(w http.ResponseWriter, r *http.Request, name, protoType string) error {
	doc, err := h.document(name)
	if err != nil {
		return err
	}
	w.Header().Add("Vary", "Accept")
	asProto, ok := wantsProto(r.Header.Get("Accept"), protoType)
	if !ok {
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable,
			Message: fmt.Sprintf("only the following media types are accepted: application/json, application/%s.v1.0+protobuf", protoType),
		}}
	}
	if given := r.URL.Query().Get("hash"); given != "" {
		if given != doc.etag {
			http.Redirect(w, r, relativeURL(name, doc.etag), http.StatusMovedPermanently)
			return nil
		}
		w.Header().Set("Cache-Control", "public, immutable")
		w.Header().Set("Expires", time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat))
	}
	body, contentType := doc.json, "application/json"
	if asProto {
		if body, err = h.proto(name, doc); err != nil {
			return err
		}
		contentType = "application/" + protoType + ".v1.0+protobuf"
	}
	w.Header().Set("Content-Type", contentType)
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Add("Vary", "Accept-Encoding")
		serve(w, r, doc.etag, body)
		return nil
	}
	plain, err := body.unpack()
	if err != nil {
		return err
	}
	serve(w, r, doc.etag, plain)
	return nil
}

// serve answers with a body, or that the client has it.
func serve(w http.ResponseWriter, r *http.Request, etag string, body []byte) {
	w.Header().Set("Etag", `"`+etag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// wantsProto picks the format; clients write the protobuf type in two ways.
func wantsProto(accept, protoType string) (asProto, ok bool) {
	if accept == "" {
		return false, true
	}
	if len(accept) > 4096 {
		return false, false
	}
	for _, clause := range goautoneg.ParseAccept(accept) {
		if clause.Type != "application" && clause.Type != "*" {
			continue
		}
		switch clause.SubType {
		case "json", "*":
			return false, true
		case protoType + ".v1.0+protobuf", protoType + "@v1.0+protobuf":
			return true, true
		}
	}
	return false, false
}

// document makes a document when it is first asked for.
func (h *Handler) document(name string) (*built, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if doc := h.built[name]; doc != nil {
		return doc, nil
	}
	var raw []byte
	var err error
	if name == "v2" {
		raw, err = document(h.kinds, h.version, false, nil)
	} else {
		gv, ok := h.groupVersion(name)
		if !ok {
			return nil, &apierrors.StatusError{ErrStatus: metav1.Status{
				Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
				Message: fmt.Sprintf("there is no OpenAPI document %q", name),
			}}
		}
		raw, err = document(h.kinds, h.version, true, &gv)
	}
	if err != nil {
		return nil, err
	}
	doc := &built{etag: hash(raw)}
	if doc.json, err = pack(raw); err != nil {
		return nil, err
	}
	h.built[name] = doc
	return doc, nil
}

func (h *Handler) groupVersion(name string) (schema.GroupVersion, bool) {
	for _, gv := range h.kinds.Versions() {
		if name == "v3/"+groupPath(gv) {
			return gv, true
		}
	}
	return schema.GroupVersion{}, false
}

// proto returns the protobuf form, made when first asked for.
func (h *Handler) proto(name string, doc *built) (packed, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if doc.proto != nil {
		return doc.proto, nil
	}
	raw, err := doc.json.unpack()
	if err != nil {
		return nil, err
	}
	var message proto.Message
	if name == "v2" {
		message, err = openapiv2.ParseDocument(raw)
	} else {
		message, err = openapiv3.ParseDocument(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document %s: %w", name, err)
	}
	encoded, err := proto.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document %s as protobuf: %w", name, err)
	}
	if doc.proto, err = pack(encoded); err != nil {
		return nil, err
	}
	return doc.proto, nil
}

func hash(raw []byte) string {
	sum := sha512.Sum512(raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func pack(raw []byte) (packed, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(raw); err != nil {
		return nil, fmt.Errorf("compress an OpenAPI document: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress an OpenAPI document: %w", err)
	}
	return bytes.Clone(b.Bytes()), nil
}

func (p packed) unpack() ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(p))
	if err != nil {
		return nil, fmt.Errorf("uncompress an OpenAPI document: %w", err)
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("uncompress an OpenAPI document: %w", err)
	}
	return raw, nil
}
