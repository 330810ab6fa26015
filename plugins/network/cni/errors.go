package main

import (
	"strings"

	"github.com/pintle-io/pintle/sdk/errs"
)

// attachError gives what CNI plugins say a class; they have words only.
func attachError(sandbox string, err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "no IP addresses available"):
		return errs.ResourceExhausted("attaching sandbox %s: the node's pod range is used up: %v", sandbox, err).WithReason("PodRangeExhausted")
	case strings.Contains(text, "address already in use"):
		return errs.AlreadyExists("attaching sandbox %s: a host port is taken: %v", sandbox, err).WithReason("HostPortTaken")
	}
	return errs.Unavailable("attaching sandbox %s: %v", sandbox, err)
}

func lower(protocol string) string {
	if protocol == "" {
		return "tcp"
	}
	return strings.ToLower(protocol)
}
