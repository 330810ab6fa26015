package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// parseRevision parses a resourceVersion; "" and "0" are 0.
func parseRevision(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	rev, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{
			field.Invalid(field.NewPath("resourceVersion"), s, err.Error()),
		})
	}
	return rev, nil
}

// checkListOptions follows Kubernetes' rules for resourceVersion,
// resourceVersionMatch, continue and sendInitialEvents.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
func checkListOptions(opts *ListOptions, watch bool) error {
	var errs field.ErrorList
	match := field.NewPath("resourceVersionMatch")
	if opts.Limit < 0 {
		errs = append(errs, field.Invalid(field.NewPath("limit"), opts.Limit, "must be greater than or equal to 0"))
	}
	switch {
	case watch && opts.SendInitialEvents != nil:
		switch {
		case opts.ResourceVersionMatch == "":
			errs = append(errs, field.Forbidden(match, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
		case opts.ResourceVersionMatch != metav1.ResourceVersionMatchNotOlderThan:
			errs = append(errs, field.NotSupported(match, opts.ResourceVersionMatch, []string{string(metav1.ResourceVersionMatchNotOlderThan)}))
		}
	case opts.SendInitialEvents != nil:
		errs = append(errs, field.Forbidden(field.NewPath("sendInitialEvents"), "sendInitialEvents is forbidden for list"))
	case opts.ResourceVersionMatch != "":
		switch {
		case watch:
			errs = append(errs, field.Forbidden(match, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
		case opts.ResourceVersion == "":
			errs = append(errs, field.Forbidden(match, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
		case opts.Continue != "":
			errs = append(errs, field.Forbidden(match, "resourceVersionMatch is forbidden when continue is provided"))
		case opts.ResourceVersionMatch != metav1.ResourceVersionMatchExact && opts.ResourceVersionMatch != metav1.ResourceVersionMatchNotOlderThan:
			errs = append(errs, field.NotSupported(match, opts.ResourceVersionMatch,
				[]string{string(metav1.ResourceVersionMatchExact), string(metav1.ResourceVersionMatchNotOlderThan)}))
		case opts.ResourceVersionMatch == metav1.ResourceVersionMatchExact && opts.ResourceVersion == "0":
			errs = append(errs, field.Forbidden(match, `resourceVersionMatch "exact" is forbidden for resourceVersion "0"`))
		}
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "ListOptions"}, "", errs)
	}
	return nil
}

// continuation is the content of a continue token. It has Kubernetes' form.
type continuation struct {
	Version string `json:"v"`
	// Revision of the snapshot; -1 goes on in the newest one.
	Revision int64 `json:"rv"`
	// Start is the last key of the page before, after the kind's prefix.
	Start string `json:"start"`
}

const continuationVersion = "meta.k8s.io/v1"

func (c continuation) encode() string {
	c.Version = continuationVersion
	b, _ := json.Marshal(c) // two strings and a number always encode
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseContinuation(token string) (continuation, error) {
	var c continuation
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	switch {
	case err != nil:
		return c, apierrors.NewBadRequest(fmt.Sprintf("continue key is not valid: %v", err))
	case c.Version != continuationVersion:
		return c, apierrors.NewBadRequest(fmt.Sprintf("continue key is not valid: server does not recognize this encoded version %q", c.Version))
	case c.Revision == 0 || c.Revision < -1 || c.Start == "":
		return c, apierrors.NewBadRequest("continue key is not valid: it lacks the revision or the key to go on from")
	}
	return c, nil
}

// tokenRevision is a revision in a token.
func tokenRevision(rev uint64) int64 {
	if rev > math.MaxInt64 {
		return -1
	}
	return int64(rev)
}
