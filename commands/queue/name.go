package queue

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"dalang/wireformat"
)

// maxMeta is the longest meta part of a file name in bytes: a name may have
// 255, the id takes up to 19 and a dash.
const maxMeta = 235

// Meta is what a file name says of a command. Two metas of one queue that are
// equal stand for different commands when their ids differ.
type Meta struct {
	Command wireformat.Command
	Version int
	// Certid is the certname made fit for a file name: see NewMeta. It is the
	// key of order and superseding, never what the store is told.
	Certid   string
	Received time.Time // UTC, milliseconds
	Producer time.Time // UTC, milliseconds; zero: none was given
	Gzip     bool      // the body is gzipped, as it came
}

// NewMeta fits a command's facts into a Meta. The characters / \ : _ and NUL
// of the certname become dashes; when that changed it, or when the name would
// be longer than a file name may be, the certname is cut at a character
// boundary and "_" and the SHA-1 of the original follow. Spec §4.1.
func NewMeta(cmd wireformat.Command, version int, certname string, received, producer time.Time, gzip bool) Meta {
	m := Meta{Command: cmd, Version: version, Received: millis(received), Gzip: gzip}
	if !producer.IsZero() {
		m.Producer = millis(producer)
	}
	room := maxMeta - len(m.Name())
	m.Certid = strings.Map(func(r rune) rune {
		switch r {
		case '/', '\\', ':', '_', 0:
			return '-'
		}
		return r
	}, certname)
	if m.Certid == certname && len(certname) <= room {
		return m
	}
	sum := sha1.Sum([]byte(certname))
	m.Certid = cut(m.Certid, room-1-2*len(sum)) + "_" + hex.EncodeToString(sum[:])
	return m
}

func millis(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }

// cut shortens s to at most n bytes without halving a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Name is the meta part of the command's file name:
//
//	<received-ms>[<±producer-received ms>]_<tag>_<version>_<certid>.json[.gz]
func (m Meta) Name() string { return string(m.appendName(nil)) }

func (m Meta) appendName(b []byte) []byte {
	received := m.Received.UnixMilli()
	b = strconv.AppendInt(b, received, 10)
	if !m.Producer.IsZero() {
		off := m.Producer.UnixMilli() - received
		if off >= 0 {
			b = append(b, '+')
		}
		b = strconv.AppendInt(b, off, 10)
	}
	b = append(b, '_')
	b = append(b, m.Command.Tag()...)
	b = append(b, '_')
	b = strconv.AppendInt(b, int64(m.Version), 10)
	b = append(b, '_')
	b = append(b, m.Certid...)
	b = append(b, ".json"...)
	if m.Gzip {
		b = append(b, ".gz"...)
	}
	return b
}

// fileName is the whole name of the file that holds command id.
func fileName(id uint64, m Meta) string {
	b := make([]byte, 0, 96)
	b = strconv.AppendUint(b, id, 10)
	b = append(b, '-')
	return string(m.appendName(b))
}

// ParseName reads the name of a command's file, <id>-<meta>. It accepts one
// spelling of each name only, the one that Name writes, so that a parsed name
// leads back to its file. The Meta keeps no part of name alive.
func ParseName(name string) (id uint64, m Meta, err error) {
	fail := func(what string) (uint64, Meta, error) {
		return 0, Meta{}, fmt.Errorf("%q is not a queue file's name: %s", name, what)
	}
	idPart, rest, ok := strings.Cut(name, "-")
	// 63 bits: the other users of this layout count in signed numbers.
	id, err = strconv.ParseUint(idPart, 10, 63)
	if !ok || err != nil {
		return fail("no id")
	}
	times, rest, ok1 := strings.Cut(rest, "_")
	tag, rest, ok2 := strings.Cut(rest, "_")
	version, rest, ok3 := strings.Cut(rest, "_")
	if !ok1 || !ok2 || !ok3 {
		return fail("too few fields")
	}
	if m.Received, m.Producer, ok = parseTimes(times); !ok {
		return fail("no time")
	}
	v, known := wireformat.LookupTag(tag)
	if !known {
		return fail("unknown command " + strconv.Quote(tag))
	}
	m.Command = v.Command
	if m.Version, err = strconv.Atoi(version); err != nil || m.Version < 0 {
		return fail("no version")
	}
	rest, m.Gzip = strings.CutSuffix(rest, ".gz")
	certid, ok := strings.CutSuffix(rest, ".json")
	if !ok || !validCertid(certid) {
		return fail("no certname")
	}
	m.Certid = strings.Clone(certid)
	if fileName(id, m) != name {
		return fail("not the plain spelling")
	}
	return id, m, nil
}

// parseTimes reads <received>[<±offset>], both in milliseconds.
func parseTimes(s string) (received, producer time.Time, ok bool) {
	digits := len(s)
	if i := strings.IndexAny(s, "+-"); i >= 0 {
		digits = i
	}
	ms, err := strconv.ParseInt(s[:digits], 10, 64)
	if err != nil {
		return received, producer, false
	}
	received = time.UnixMilli(ms).UTC()
	if digits == len(s) {
		return received, producer, true
	}
	off, err := strconv.ParseInt(s[digits:], 10, 64)
	if err != nil {
		return received, producer, false
	}
	producer = time.UnixMilli(ms + off).UTC()
	return received, producer, !producer.IsZero()
}

// validCertid: no separators, but for the one before a SHA-1.
func validCertid(s string) bool {
	name, sum, has := strings.Cut(s, "_")
	if has {
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha1.Size {
			return false
		}
	}
	return name != "" && !strings.ContainsAny(name, "/\x00")
}
