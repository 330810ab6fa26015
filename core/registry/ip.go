package registry

import (
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateEndpointIP refuses addresses that an endpoint can't have, since they
// would let a Service reach into the node itself.
func validateEndpointIP(value string, path *field.Path) field.ErrorList {
	if errs := validation.IsValidIPForLegacyField(path, value, true, nil); len(errs) > 0 {
		return errs
	}
	ip, err := netip.ParseAddr(value)
	if err != nil {
		return field.ErrorList{field.Invalid(path, value, "must be a valid IP address")}
	}
	var msg string
	switch {
	case ip.IsUnspecified():
		msg = fmt.Sprintf("may not be unspecified (%v)", value)
	case ip.IsLoopback():
		msg = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
	case ip.IsLinkLocalUnicast():
		msg = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
	case ip.IsLinkLocalMulticast():
		msg = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
	default:
		return nil
	}
	return field.ErrorList{field.Invalid(path, value, msg)}
}

// isIPv4 tells the family of an address that is known to be one.
func isIPv4(value string) bool {
	ip, err := netip.ParseAddr(value)
	return err == nil && ip.Unmap().Is4()
}
