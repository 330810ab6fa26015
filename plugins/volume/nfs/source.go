package main

import (
	"net/netip"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/volume"
)

// export is what a volume names.
type export struct {
	server, path string
	readOnly     bool
}

// String is the export as mount(8) writes it.
func (e export) String() string {
	if strings.Contains(e.server, ":") {
		return "[" + e.server + "]:" + e.path
	}
	return e.server + ":" + e.path
}

const (
	maxServer = 253  // of a DNS name
	maxPath   = 1024 // MNTPATHLEN, RFC 1813
)

// sourceOf reads and checks the source. The server becomes an argument of
// mount(8), so nothing but a name or an address passes.
func sourceOf(req *volume.MountRequest) (export, error) {
	var s corev1.NFSVolumeSource
	if err := volume.DecodeSource(req, &s); err != nil {
		return export{}, err
	}
	server := strings.TrimSuffix(strings.TrimPrefix(s.Server, "["), "]")
	name := req.GetVolumeName()
	switch {
	case s.Server == "":
		return export{}, errs.InvalidArgument("nfs.server of volume %q is empty", name)
	case !isHost(server):
		return export{}, errs.InvalidArgument("nfs.server %.300q of volume %q is neither a host name nor an address", s.Server, name)
	case !path.IsAbs(s.Path):
		return export{}, errs.InvalidArgument("nfs.path %.300q of volume %q is not absolute", s.Path, name)
	case len(s.Path) > maxPath:
		return export{}, errs.InvalidArgument("nfs.path of volume %q has %d bytes: at most %d are allowed", name, len(s.Path), maxPath)
	case strings.ContainsFunc(s.Path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return export{}, errs.InvalidArgument("nfs.path %.300q of volume %q contains control characters", s.Path, name)
	case path.Clean(s.Path) != strings.TrimSuffix(s.Path, "/") && s.Path != "/":
		return export{}, errs.InvalidArgument("nfs.path %.300q of volume %q is not clean: leave out \"..\", \".\" and empty parts", s.Path, name)
	}
	return export{server, path.Clean(s.Path), s.ReadOnly || req.GetReadOnly()}, nil
}

func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if s == "" || len(s) > maxServer || s[0] == '-' || s[0] == '.' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '-' || r == '_')
	})
}
