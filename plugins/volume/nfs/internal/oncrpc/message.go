package oncrpc

import "fmt"

const (
	rpcVersion  = 2
	messageCall = 0
	messageOK   = 1 // a reply

	authNone = 0
	authUnix = 1

	maxVerifier = 400 // bytes, RFC 5531 section 8.2
	// MaxGroups is how many supplementary groups a credential can carry.
	MaxGroups = 16
	// maxMachineName is the limit of RFC 5531, appendix A.
	maxMachineName = 255
)

// Credential says on whose behalf a call is made: AUTH_UNIX, RFC 5531
// appendix A. nil is AUTH_NONE.
type Credential struct {
	Machine  string
	UID, GID uint32
	Groups   []uint32 // at most MaxGroups are sent
}

func (c *Credential) encode(e *Encoder) {
	if c == nil {
		e.Uint32(authNone)
		e.Opaque(nil)
		return
	}
	var body Encoder
	body.Uint32(0) // the stamp, any number
	body.String(c.Machine[:min(len(c.Machine), maxMachineName)])
	body.Uint32(c.UID)
	body.Uint32(c.GID)
	groups := c.Groups[:min(len(c.Groups), MaxGroups)]
	body.Uint32(uint32(len(groups)))
	for _, g := range groups {
		body.Uint32(g)
	}
	e.Uint32(authUnix)
	e.Opaque(body.Bytes())
}

// Call is one procedure with its arguments.
type Call struct {
	Program, Version, Procedure uint32
	Credential                  *Credential
	// Arguments appends them, or is nil for none.
	Arguments func(*Encoder)
	// Size is how many bytes the arguments have, as far as it is known.
	Size int
}

// recordMark is the header that a record on a stream has, RFC 5531 section 11.
const (
	recordMark   = 4
	lastFragment = 1 << 31
)

// encode returns a whole record.
func (c *Call) encode(xid uint32) []byte {
	const header = 1024 // more than the longest credential
	e := Encoder{buf: make([]byte, recordMark, recordMark+header+c.Size)}
	e.Uint32(xid)
	e.Uint32(messageCall)
	e.Uint32(rpcVersion)
	e.Uint32(c.Program)
	e.Uint32(c.Version)
	e.Uint32(c.Procedure)
	c.Credential.encode(&e)
	(*Credential)(nil).encode(&e) // the verifier
	if c.Arguments != nil {
		c.Arguments(&e)
	}
	mark := Encoder{buf: e.buf[:0]}
	mark.Uint32(lastFragment | uint32(len(e.buf)-recordMark))
	return e.buf
}

// Refused is a call that the server understood and did not execute.
type Refused struct {
	Reason string
	// Auth: it does not accept the credential.
	Auth bool
}

func (r *Refused) Error() string { return "the server refused the call: " + r.Reason }

// decodeReply reads the header of a reply whose xid was read, and returns the
// decoder at the results.
func decodeReply(d *Decoder) (*Decoder, error) {
	if kind := d.Uint32(); kind != messageOK {
		d.Fail("message of type %d is no reply", kind)
		return nil, d.Err()
	}
	switch status := d.Uint32(); status {
	case 0: // accepted
	case 1:
		return nil, denied(d)
	default:
		d.Fail("reply status %d", status)
	}
	d.Uint32() // the verifier
	d.Opaque(maxVerifier)
	status := d.Uint32()
	if err := d.Err(); err != nil {
		return nil, err
	}
	switch status {
	case 0:
		return d, nil
	case 1:
		return nil, &Refused{Reason: "it does not offer the program"}
	case 2:
		low, high := d.Uint32(), d.Uint32()
		if err := d.Err(); err != nil {
			return nil, err
		}
		return nil, &Refused{Reason: fmt.Sprintf("it offers the program in versions %d to %d only", low, high)}
	case 3:
		return nil, &Refused{Reason: "it does not offer the procedure"}
	case 4:
		return nil, &Refused{Reason: "it can't read the arguments"}
	case 5:
		return nil, &Refused{Reason: "it has an error of its own"}
	}
	d.Fail("accept status %d", status)
	return nil, d.Err()
}

func denied(d *Decoder) error {
	switch status := d.Uint32(); status {
	case 0:
		low, high := d.Uint32(), d.Uint32()
		if d.Err() == nil {
			return &Refused{Reason: fmt.Sprintf("it speaks RPC versions %d to %d only", low, high)}
		}
	case 1:
		if why := d.Uint32(); d.Err() == nil {
			return &Refused{Reason: fmt.Sprintf("it does not accept the credential (auth_stat %d)", why), Auth: true}
		}
	default:
		d.Fail("reject status %d", status)
	}
	return d.Err()
}
