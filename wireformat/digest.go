package wireformat

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"
)

// Digest computes, while a plain body streams through it, the checksums that
// clients send: the SHA-1 of the payload (as PuppetDB documents it) and the
// SHA-1 of the payload in its envelope (as Puppet's termini compute it):
//
//	{"command":"replace facts","version":5,"certname":"web01","payload":…}
type Digest struct {
	payload, envelope hash.Hash
}

// NewDigest starts the digest of a command's body.
func NewDigest(cmd Command, version int, certname string) *Digest {
	d := &Digest{sha1.New(), sha1.New()}
	head := appendString([]byte(`{"command":`), string(cmd))
	head = strconv.AppendInt(append(head, `,"version":`...), int64(version), 10)
	head = appendString(append(head, `,"certname":`...), certname)
	d.envelope.Write(append(head, `,"payload":`...))
	return d
}

// Write adds a piece of the body; it never fails.
func (d *Digest) Write(p []byte) (int, error) {
	d.payload.Write(p)
	d.envelope.Write(p)
	return len(p), nil
}

// Matches tells whether want, 40 hex digits in either case, is the SHA-1 of
// the whole body that was written, bare or in its envelope. It ends the digest.
func (d *Digest) Matches(want string) bool {
	plain := d.Sum()
	d.envelope.Write([]byte{'}'})
	enveloped := hex.EncodeToString(d.envelope.Sum(nil))
	want = strings.ToLower(want)
	return equalText(want, plain) || equalText(want, enveloped)
}

// Sum is the hex SHA-1 of the bare body so far.
func (d *Digest) Sum() string { return hex.EncodeToString(d.payload.Sum(nil)) }

func equalText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
