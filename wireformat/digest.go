package wireformat

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"
)

// DigestForm is what a client computes its checksum of.
type DigestForm int32

// The SHA-1 of the payload in its envelope is what Puppet's termini send:
//
//	{"command":"replace facts","version":5,"certname":"web01","payload":…}
//
// and that of the payload alone is what PuppetDB documents.
const (
	Enveloped DigestForm = iota
	Bare
)

// Other is the other form.
func (f DigestForm) Other() DigestForm { return 1 - f }

// Digest computes a checksum while a plain body streams through it.
type Digest struct {
	hash.Hash
	form DigestForm
}

// NewDigest starts the digest of a command's body.
func NewDigest(form DigestForm, cmd Command, version int, certname string) *Digest {
	d := &Digest{sha1.New(), form}
	if form == Enveloped {
		head := appendString([]byte(`{"command":`), string(cmd))
		head = strconv.AppendInt(append(head, `,"version":`...), int64(version), 10)
		head = appendString(append(head, `,"certname":`...), certname)
		d.Write(append(head, `,"payload":`...))
	}
	return d
}

// End is the checksum of the whole body, in lower-case hex. It ends the digest.
func (d *Digest) End() string {
	if d.form == Enveloped {
		d.Write([]byte{'}'})
	}
	return hex.EncodeToString(d.Sum(nil))
}

// SameDigest compares a checksum that a client sent, hex digits in either
// case, with one in lower-case hex.
func SameDigest(sent, computed string) bool {
	return subtle.ConstantTimeCompare([]byte(strings.ToLower(sent)), []byte(computed)) == 1
}
