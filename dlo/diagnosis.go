package dlo

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"dalang/commands"
	"dalang/commands/queue"
	"dalang/wireformat"
)

// Causes that only the office knows, beside those of wireformat and outcome.
const (
	CauseUnknown  = "unknown"  // the diagnosis was lost and the body reads well
	CauseImported = "imported" // from PuppetDB's discard directory, reason as text only
	// CauseUnread stands for a letter whose diagnosis has not been read since
	// the start. It is seen in metrics only.
	CauseUnread = "unread"
)

// maxProblems bounds the problems of one diagnosis.
const maxProblems = 1000

// Diagnosis is all that is known of a letter beside its body: the content of
// <name>_err.json, and what the API answers for one letter.
type Diagnosis struct {
	UUID              uuid.UUID           `json:"uuid"` // as the submitter was told
	File              string              `json:"file"` // name of the body file
	Command           wireformat.Command  `json:"command"`
	Version           int                 `json:"version"`
	Certname          string              `json:"certname"`
	Received          commands.Timestamp  `json:"received"`
	ProducerTimestamp *commands.Timestamp `json:"producer_timestamp"` // of the parameter; null: none
	Client            string              `json:"client"`             // who submitted it; "": not known any more

	Cause           string               `json:"cause"`   // class: a Cause constant
	Message         string               `json:"message"` // one line
	Problems        []wireformat.Problem `json:"problems"`
	ProblemsOmitted int                  `json:"problems_omitted,omitempty"` // beyond the first 1000
	Attempts        []queue.Attempt      `json:"attempts"`                   // oldest first
	Stack           string               `json:"stack,omitempty"`            // of a panic, or PuppetDB's own text

	Size          int64               `json:"size"`     // bytes of the body file
	Encoding      string              `json:"encoding"` // of the body file: identity or gzip
	DiscardedAt   commands.Timestamp  `json:"discarded_at"`
	EditedAt      *commands.Timestamp `json:"edited_at,omitempty"`
	DalangVersion string              `json:"dalang_version"` // that wrote this
}

// ReadDiagnosis reads the content of a diagnosis file. Fields it does not know
// are ignored, those that are missing are zero, but without a uuid and a cause
// it is none.
func ReadDiagnosis(text []byte) (Diagnosis, error) {
	var d Diagnosis
	if err := json.Unmarshal(text, &d); err != nil {
		return Diagnosis{}, fmt.Errorf("read diagnosis: %w", err)
	}
	if d.UUID == uuid.Nil || d.Cause == "" {
		return Diagnosis{}, errors.New("read diagnosis: no uuid, or no cause")
	}
	return d, nil
}

// encode writes what ReadDiagnosis reads, indented for people.
func (d Diagnosis) encode() ([]byte, error) {
	if d.Problems == nil {
		d.Problems = []wireformat.Problem{}
	}
	if d.Attempts == nil {
		d.Attempts = []queue.Attempt{}
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(d); err != nil {
		return nil, fmt.Errorf("encode diagnosis: %w", err)
	}
	return []byte(b.String()), nil
}

// text is the diagnosis as PuppetDB writes it: attempts newest first, numbered
// downwards, a blank line between. What is known about the last failure only
// (problems, stack) stands under the first.
func (d Diagnosis) text() string {
	var b strings.Builder
	for i := len(d.Attempts) - 1; i >= 0; i-- {
		a := d.Attempts[i]
		text := a.Error
		if i == len(d.Attempts)-1 {
			text = d.headline(text)
		}
		fmt.Fprintf(&b, "Attempt %d @ %s\n%s\n", i+1, wireformat.FormatTime(a.At), text)
		if i == len(d.Attempts)-1 {
			d.lastFailure(&b)
		}
		if i > 0 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func (d Diagnosis) lastFailure(b *strings.Builder) {
	for _, p := range d.Problems {
		fmt.Fprintf(b, "  %s: %s\n", p.Path, p.Message)
	}
	if d.ProblemsOmitted > 0 {
		fmt.Fprintf(b, "  and %d more\n", d.ProblemsOmitted)
	}
	if d.Stack != "" {
		b.WriteString(strings.TrimRight(d.Stack, "\n") + "\n")
	}
}

// Headline is the message without the problems that it may list: for where
// they stand beside it.
func (d Diagnosis) Headline() string { return d.headline(d.Message) }

func (d Diagnosis) headline(message string) string {
	if len(d.Problems) > 0 {
		if i := strings.Index(message, "; "+d.Problems[0].Path+": "); i > 0 {
			return message[:i]
		}
	}
	return message
}

// fill sets what follows from a body's place and name.
func (d *Diagnosis) fill(e queue.Entry) {
	d.UUID, d.File = e.UUID, e.Name()
	d.Command, d.Version = e.Meta.Command, e.Meta.Version
	d.Received = commands.Timestamp{Time: e.Meta.Received}
	d.ProducerTimestamp = timestampOrNil(e.Meta.Producer)
	d.Size, d.Encoding = e.Size, "identity"
	if e.Meta.Gzip {
		d.Encoding = "gzip"
	}
	if d.Certname == "" {
		d.Certname = e.Meta.Certid
	}
}

// setProblems keeps the first of many.
func (d *Diagnosis) setProblems(list []wireformat.Problem) {
	d.Problems, d.ProblemsOmitted = list, 0
	if n := len(list) - maxProblems; n > 0 {
		d.Problems, d.ProblemsOmitted = list[:maxProblems:maxProblems], n
	}
}

func timestampOrNil(t time.Time) *commands.Timestamp {
	if t.IsZero() {
		return nil
	}
	return &commands.Timestamp{Time: t.UTC()}
}

func stamp(t time.Time) commands.Timestamp {
	return commands.Timestamp{Time: time.UnixMilli(t.UnixMilli()).UTC()}
}
