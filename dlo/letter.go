package dlo

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
	"unique"

	"github.com/google/uuid"

	"dalang/commands"
	"dalang/commands/queue"
	"dalang/wireformat"
)

// Suffixes of what lies beside a body, and of what is being written.
const (
	diagnosisSuffix = "_err.json"
	textSuffix      = "_err.txt"
	tmpPrefix       = "tmp-"
)

// maxMessage bounds the message kept in memory of each letter.
const maxMessage = 500

// letter is what memory holds of a letter. The first three fields never change;
// the others are guarded by Office.mu.
type letter struct {
	id       uint64 // of the queue; unique only together with meta
	meta     queue.Meta
	imported bool // lies in Config.Imported

	noted bool // has a diagnosis file
	read  bool // the diagnosis has been read
	// busy: somebody works with the files. Whoever sets it resets it.
	busy bool

	uuid      uuid.UUID // the name's, until the diagnosis has been read
	size      int64     // of the body file; 0 until then
	certname  string
	cause     string
	message   string
	client    string
	discarded time.Time
	attempts  int
	problems  int
}

// Summary is what a listing tells of a letter.
type Summary struct {
	UUID              uuid.UUID           `json:"uuid"`
	File              string              `json:"file"`
	Command           wireformat.Command  `json:"command"`
	Version           int                 `json:"version"`
	Certname          string              `json:"certname"`
	Cause             string              `json:"cause"`
	Message           string              `json:"message"` // at most 500 bytes of it
	Client            string              `json:"client"`
	Size              int64               `json:"size"` // bytes of the body file
	Attempts          int                 `json:"attempts"`
	Problems          int                 `json:"problems"`
	Received          commands.Timestamp  `json:"received"`
	ProducerTimestamp *commands.Timestamp `json:"producer_timestamp"`
	DiscardedAt       commands.Timestamp  `json:"discarded_at"`
}

func (l *letter) summary() Summary {
	return Summary{
		UUID: l.uuid, File: l.name(),
		Command: l.meta.Command, Version: l.meta.Version, Certname: l.certname,
		Cause: l.cause, Message: l.message, Client: l.client, Size: l.size,
		Attempts: l.attempts, Problems: l.problems,
		Received:          stamp(l.meta.Received),
		ProducerTimestamp: timestampOrNil(l.meta.Producer),
		DiscardedAt:       stamp(l.discarded),
	}
}

// name is that of the body file.
func (l *letter) name() string { return queue.Entry{ID: l.id, Meta: l.meta}.Name() }

// note takes over what a diagnosis says.
func (l *letter) note(d Diagnosis) {
	l.read = true
	l.uuid, l.size = d.UUID, d.Size
	l.certname = d.Certname
	if d.Certname == l.meta.Certid {
		l.certname = l.meta.Certid // one string, not two
	}
	l.cause = intern(d.Cause)
	l.message = intern(cut(d.Message, maxMessage))
	l.client = intern(d.Client)
	l.discarded = d.DiscardedAt.Time
	l.attempts, l.problems = len(d.Attempts), len(d.Problems)+d.ProblemsOmitted
}

// intern keeps one copy of the few texts that many letters share.
func intern(s string) string { return unique.Make(s).Value() }

// byAcceptance is the order of letters.
func byAcceptance(a, b *letter) int {
	return cmp.Or(
		a.meta.Received.Compare(b.meta.Received),
		cmp.Compare(a.id, b.id),
		strings.Compare(a.meta.Certid, b.meta.Certid),
		strings.Compare(string(a.meta.Command), string(b.meta.Command)),
		cmp.Compare(b2i(a.imported), b2i(b.imported)),
		cmp.Compare(a.meta.Version, b.meta.Version),
		a.meta.Producer.Compare(b.meta.Producer),
		cmp.Compare(b2i(a.meta.Gzip), b2i(b.meta.Gzip)),
	)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// directory is the word for a command in paths: its name with dashes.
func directory(c wireformat.Command) string { return strings.ReplaceAll(string(c), " ", "-") }

// folder is where the files of a letter lie.
func (o *Office) folder(l *letter) string {
	if l.imported {
		return o.cfg.Imported
	}
	return filepath.Join(o.cfg.Dir, directory(l.meta.Command))
}

func (o *Office) bodyPath(l *letter) string {
	return filepath.Join(o.folder(l), l.name())
}

func (o *Office) diagnosisPath(l *letter) string {
	return filepath.Join(o.folder(l), stem(l.name())+diagnosisSuffix)
}

func (o *Office) textPath(l *letter) string {
	name := l.name()
	if l.imported {
		name = strings.TrimSuffix(name, ".json") // upstream's rule: only a literal .json
		return filepath.Join(o.folder(l), cut(name, 255-len(textSuffix))+textSuffix)
	}
	return filepath.Join(o.folder(l), stem(name)+textSuffix)
}

// stem is the name of a body's diagnoses without their suffix. See doc.go.
func stem(name string) string {
	const room = 255 - len(diagnosisSuffix)
	if len(name) <= room {
		return name
	}
	sum := sha1.Sum([]byte(name))
	return cut(name, room-1-2*len(sum)) + "_" + hex.EncodeToString(sum[:])
}

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
