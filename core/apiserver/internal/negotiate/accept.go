package negotiate

import (
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/munnerz/goautoneg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Format is an encoding.
type Format uint8

const (
	JSON Format = iota
	YAML
	Protobuf
)

// MediaType as the Content-Type header names it.
func (f Format) MediaType() string {
	switch f {
	case YAML:
		return runtime.ContentTypeYAML
	case Protobuf:
		return runtime.ContentTypeProtobuf
	}
	return runtime.ContentTypeJSON
}

func (f Format) String() string { return f.MediaType() }

// Output is the form that a client asked for and that is served.
type Output struct {
	Format Format
	Pretty bool
	// As is the type to show the object as: empty for the object itself.
	As schema.GroupVersionKind
}

// Offer is what an endpoint can serve.
type Offer struct {
	// Protobuf is false for kinds without a protobuf form.
	Protobuf bool
	// As says which types an object can be shown as; nil where none but itself.
	As func(format Format, as schema.GroupVersionKind) bool
}

// Objects offers what every resource has: tables in the text formats, and
// metadata alone in all.
func Objects(protobuf bool) Offer { return Offer{Protobuf: protobuf, As: objectAs} }

func objectAs(format Format, as schema.GroupVersionKind) bool {
	if as.Group != metav1.GroupName || as.Version != "v1" && as.Version != "v1beta1" {
		return false
	}
	switch as.Kind {
	case "Table":
		return format != Protobuf
	case "PartialObjectMetadata", "PartialObjectMetadataList":
		return true
	}
	return false
}

// Accept picks the output for a request, or answers 406 as Kubernetes does.
func Accept(r *http.Request, offer Offer) (Output, error) {
	out, ok := accept(r.Header.Get("Accept"), offer)
	if !ok {
		return Output{}, notAcceptable(offer)
	}
	if !out.Pretty {
		out.Pretty = pretty(r)
	}
	return out, nil
}

const protobufThenJSON = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON

func accept(header string, offer Offer) (Output, bool) {
	// What programs send all day is answered without parsing.
	switch header {
	case "", "*/*", "application/json", "application/json, */*":
		return Output{Format: JSON}, true
	case runtime.ContentTypeProtobuf:
		return Output{Format: Protobuf}, offer.Protobuf
	case protobufThenJSON:
		if offer.Protobuf {
			return Output{Format: Protobuf}, true
		}
		return Output{Format: JSON}, true
	}
	if len(header) > maxAccept {
		return Output{}, false
	}
	for _, clause := range goautoneg.ParseAccept(header) {
		if clause.Q == 0 {
			continue
		}
		for _, format := range [...]Format{JSON, YAML, Protobuf} {
			if format == Protobuf && !offer.Protobuf || !matches(clause, format) {
				continue
			}
			if out, ok := withParams(clause.Params, format, offer); ok {
				return out, true
			}
		}
	}
	return Output{}, false
}

// maxAccept in bytes is far above what kubectl sends, and bounds the parsing.
const maxAccept = 4096

func matches(clause goautoneg.Accept, format Format) bool {
	mainType, subType, _ := strings.Cut(format.MediaType(), "/")
	return (clause.Type == mainType || clause.Type == "*" && clause.SubType == "*") &&
		(clause.SubType == subType || clause.SubType == "*")
}

func withParams(params map[string]string, format Format, offer Offer) (Output, bool) {
	out := Output{Format: format}
	for key, value := range params {
		switch key {
		case "as":
			out.As.Kind = value
		case "g":
			out.As.Group = value
		case "v":
			out.As.Version = value
		case "pretty":
			out.Pretty = value == "1"
		case "stream":
			if value != "" && value != "watch" {
				return Output{}, false
			}
		case "sv":
			if value != "" {
				return Output{}, false
			}
		}
	}
	if !out.As.Empty() && (offer.As == nil || !offer.As(format, out.As)) {
		return Output{}, false
	}
	return out, true
}

// pretty follows the query, else guesses a human from the tool at work.
func pretty(r *http.Request) bool {
	if strings.Contains(r.URL.RawQuery, "pretty") {
		if v := r.URL.Query().Get("pretty"); v != "" {
			b, _ := strconv.ParseBool(v)
			return b
		}
	}
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "curl") || strings.HasPrefix(agent, "Wget") || strings.HasPrefix(agent, "Mozilla/5.0")
}

func mediaTypes(protobuf bool) []string {
	types := []string{runtime.ContentTypeJSON, runtime.ContentTypeYAML}
	if protobuf {
		types = append(types, runtime.ContentTypeProtobuf)
	}
	return types
}

func notAcceptable(offer Offer) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusNotAcceptable,
		Reason:  metav1.StatusReasonNotAcceptable,
		Message: fmt.Sprintf("only the following media types are accepted: %v", strings.Join(mediaTypes(offer.Protobuf), ", ")),
	}}
}

// UnsupportedMediaType is the answer to a body of a type not among accepted.
func UnsupportedMediaType(accepted []string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusUnsupportedMediaType,
		Reason:  metav1.StatusReasonUnsupportedMediaType,
		Message: fmt.Sprintf("the body of the request was in an unknown format - accepted media types include: %v", strings.Join(accepted, ", ")),
	}}
}

// ContentType reads the format of a request's body, 415 where it is unknown.
func ContentType(r *http.Request, protobuf bool) (Format, error) {
	header := r.Header.Get("Content-Type")
	switch header {
	case "", runtime.ContentTypeJSON:
		return JSON, nil
	}
	mediaType, _, err := mime.ParseMediaType(header)
	if err == nil {
		switch mediaType {
		case runtime.ContentTypeJSON:
			return JSON, nil
		case runtime.ContentTypeYAML:
			return YAML, nil
		case runtime.ContentTypeProtobuf:
			if protobuf {
				return Protobuf, nil
			}
		}
	}
	return JSON, UnsupportedMediaType(mediaTypes(protobuf))
}
