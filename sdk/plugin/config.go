package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/pintle-io/pintle/sdk/errs"
)

// DecodeConfig decodes the configuration, which is JSON, into a struct that
// holds the defaults. An empty configuration leaves the defaults alone. An
// unknown field, a wrong type and anything after the object are
// errs.ClassInvalidArgument with the place in the text.
func DecodeConfig(req *ConfigureRequest, into any) error {
	config := req.GetConfig()
	if emptyConfig(config) {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(config))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return configError(config, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errs.InvalidArgument("configuration: there is something after the end of the JSON value, at %s", place(config, dec.InputOffset())).
			WithReason("InvalidConfig")
	}
	return nil
}

// emptyConfig reports whether a configuration says nothing.
func emptyConfig(config []byte) bool {
	switch string(bytes.TrimSpace(config)) {
	case "", "null", "{}":
		return true
	}
	return false
}

func configError(config []byte, err error) error {
	var syntax *json.SyntaxError
	var wrongType *json.UnmarshalTypeError
	var text string
	switch {
	case errors.As(err, &wrongType) && wrongType.Field != "":
		text = fmt.Sprintf("field %s: expected %s, got %s", wrongType.Field, wrongType.Type, wrongType.Value)
	case errors.As(err, &wrongType):
		text = fmt.Sprintf("expected %s, got %s", wrongType.Type, wrongType.Value)
	case errors.As(err, &syntax):
		text = fmt.Sprintf("malformed JSON at %s: %s", place(config, syntax.Offset), err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		text = "malformed JSON: it ends too early"
	default:
		text = err.Error()
	}
	return errs.InvalidArgument("configuration: %s", text).WithReason("InvalidConfig")
}

// place gives an offset as line and column, counted from 1, in bytes.
func place(text []byte, offset int64) string {
	before := text[:min(max(offset, 0), int64(len(text)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("line %d, column %d", line, column)
}
