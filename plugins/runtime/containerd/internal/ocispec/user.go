package ocispec

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

// maxAccountFile bounds what is read of an image's /etc/passwd and /etc/group,
// which are the image author's.
const maxAccountFile = 4 << 20

// Accounts are the users and groups that an image knows.
type Accounts struct {
	users  []user.User
	groups []user.Group
}

// ReadAccounts reads /etc/passwd and /etc/group of a root file system; either
// may be missing.
func ReadAccounts(root fs.FS) (*Accounts, error) {
	a := &Accounts{}
	err := readAccountFile(root, "etc/passwd", func(r io.Reader) (err error) {
		a.users, err = user.ParsePasswd(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = readAccountFile(root, "etc/group", func(r io.Reader) (err error) {
		a.groups, err = user.ParseGroup(r)
		return err
	})
	return a, err
}

func readAccountFile(root fs.FS, name string, parse func(io.Reader) error) error {
	file, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return parse(io.LimitReader(file, maxAccountFile))
}

// Resolve says which user a container runs as: that of the request, else that
// of the image ("user", "uid", each with ":group"), else root. Groups of the
// image that list the user are among the additional ones.
func (a *Accounts) Resolve(security *pluginv1.LinuxSecurity, imageUser string) (specs.User, error) {
	if security == nil {
		security = &pluginv1.LinuxSecurity{}
	}
	name, group := "", ""
	switch {
	case security.RunAsUser != nil:
		name = strconv.FormatInt(security.GetRunAsUser(), 10)
	case security.GetRunAsUsername() != "":
		name = security.GetRunAsUsername()
	default:
		name, group, _ = strings.Cut(imageUser, ":")
	}
	if name == "" {
		name = "0"
	}
	entry, err := a.user(name)
	if err != nil {
		return specs.User{}, err
	}
	out := specs.User{UID: uint32(entry.Uid), GID: uint32(entry.Gid)}
	if security.RunAsGroup != nil {
		group = strconv.FormatInt(security.GetRunAsGroup(), 10)
	}
	if group != "" {
		gid, err := a.group(group)
		if err != nil {
			return specs.User{}, err
		}
		out.GID = gid
	}
	out.AdditionalGids = a.additional(entry.Name, out.GID, security.GetSupplementalGroups())
	return out, nil
}

func (a *Accounts) user(name string) (user.User, error) {
	uid, numErr := ParseID(name)
	for _, u := range a.users {
		if u.Name == name || (numErr == nil && uint32(u.Uid) == uid) {
			return u, nil
		}
	}
	if numErr == nil {
		return user.User{Uid: int(uid)}, nil
	}
	return user.User{}, errs.InvalidArgument("the image has no user %q in its /etc/passwd", name).
		WithReason("ContainerCannotRun").WithHint("set runAsUser to a number")
}

func (a *Accounts) group(name string) (uint32, error) {
	gid, numErr := ParseID(name)
	for _, g := range a.groups {
		if g.Name == name {
			return uint32(g.Gid), nil
		}
	}
	if numErr == nil {
		return gid, nil
	}
	return 0, errs.InvalidArgument("the image has no group %q in its /etc/group", name).
		WithReason("ContainerCannotRun").WithHint("set runAsGroup to a number")
}

func (a *Accounts) additional(username string, gid uint32, more []int64) []uint32 {
	// As with login, the primary group is a member too: dropping it must not
	// widen what a file mode grants.
	seen := map[uint32]bool{gid: true}
	gids := []uint32{gid}
	add := func(id uint32) {
		if !seen[id] {
			seen[id] = true
			gids = append(gids, id)
		}
	}
	if username != "" {
		for _, g := range a.groups {
			for _, member := range g.List {
				if member == username {
					add(uint32(g.Gid))
				}
			}
		}
	}
	for _, id := range more {
		add(uint32(id))
	}
	return gids
}

// ParseID reads a numeric user or group. Linux reserves the greatest one.
func ParseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n == math.MaxUint32 {
		return 0, strconv.ErrRange
	}
	return uint32(n), err
}
