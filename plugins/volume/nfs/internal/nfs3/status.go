package nfs3

import (
	"fmt"
	"syscall"
)

// Status is nfsstat3, RFC 1813 section 2.6, where it is not NFS3_OK.
type Status uint32

const (
	StatusPerm       Status = 1
	StatusNoEnt      Status = 2
	StatusAcces      Status = 13
	StatusExist      Status = 17
	StatusNotDir     Status = 20
	StatusStale      Status = 70
	StatusBadHandle  Status = 10001
	StatusNotSupp    Status = 10004
	StatusJukebox    Status = 10008
	statusErrnoLimit        = 35 // below, the numbers are those of Linux
)

func (s Status) Error() string { return fmt.Sprintf("%v (nfsstat3 %d)", s.Errno(), uint32(s)) }

// Errno is what a system call answers. Numbers above 34 are those of BSD.
func (s Status) Errno() syscall.Errno {
	switch {
	case s < statusErrnoLimit:
		return syscall.Errno(s)
	case s == 63:
		return syscall.ENAMETOOLONG
	case s == 66:
		return syscall.ENOTEMPTY
	case s == 69:
		return syscall.EDQUOT
	case s == StatusStale, s == StatusBadHandle:
		return syscall.ESTALE
	case s == 71:
		return syscall.EREMOTE
	case s == StatusNotSupp:
		return syscall.EOPNOTSUPP
	case s == 10003, s == 10005, s == 10007: // BAD_COOKIE, TOOSMALL, BADTYPE
		return syscall.EINVAL
	case s == StatusJukebox:
		return syscall.EAGAIN
	}
	return syscall.EIO
}
