package pdb

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// errNotObject is a body that is JSON but no object.
var errNotObject = errors.New("not a JSON object")

// member is one member of an envelope: the text of the value as it stands in
// the request, not re-encoded, so that digests over it still hold.
type member struct {
	key string
	raw []byte
}

// envelope is the body of the old submission format:
// {"command": …, "version": …, "payload": …}.
type envelope []member

// parseEnvelope splits the members of a JSON object. It reads what upstream's
// reader reads (spec commands.md §3.0): trailing bytes, raw control characters
// in strings and bad UTF-8 are fine, and the last of equal keys wins. The
// result aliases body.
func parseEnvelope(body []byte) (envelope, error) {
	// The reader below is strict about control characters: it sees blanks.
	clean := blankControls(body)
	dec := jsontext.NewDecoder(bytes.NewReader(clean),
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	switch kind := dec.PeekKind(); {
	case kind == 0:
		_, err := dec.ReadToken()
		return nil, err
	case kind == 'n':
		// Like upstream: null has no members. A broken literal still fails.
		_, err := dec.ReadToken()
		return nil, err
	case kind != '{':
		if err := dec.SkipValue(); err != nil {
			return nil, err
		}
		return nil, errNotObject
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	var env envelope
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		end := dec.InputOffset()
		env.set(key, body[end-int64(len(value)):end])
	}
	_, err := dec.ReadToken()
	return env, err
}

func (e *envelope) set(key string, raw []byte) {
	for i := range *e {
		if (*e)[i].key == key {
			(*e)[i].raw = raw
			return
		}
	}
	*e = append(*e, member{key, raw})
}

// get returns the value of a key, nil when it is not there.
func (e envelope) get(key string) []byte {
	for _, m := range e {
		if m.key == key {
			return m.raw
		}
	}
	return nil
}

// truthy is Clojure's truth: everything but null and false.
func truthy(raw []byte) bool {
	return raw != nil && string(raw) != "null" && string(raw) != "false"
}

// jsonString returns the text of a JSON string, false when raw is none.
func jsonString(raw []byte) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	if err := json.Unmarshal(blankControls(raw), &s); err != nil {
		return "", false
	}
	return s, true
}

// blankControls returns b with the control characters inside its strings
// replaced by blanks, at the same offsets; b itself when there are none.
func blankControls(b []byte) []byte {
	var out []byte
	inString := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			inString = !inString
		case c == '\\' && inString:
			i++
			if i < len(b) && b[i] >= 0x20 {
				continue
			}
			// A backslash before a control character is no escape: leave it
			// for the reader to refuse.
		case c < 0x20 && inString:
			if out == nil {
				out = bytes.Clone(b)
			}
			out[i] = ' '
		}
	}
	if out == nil {
		return b
	}
	return out
}

// clojure prints a JSON value as Clojure's pr-str does, which is how upstream's
// messages quote what they were sent: strings in quotes, nil for null, vectors
// and maps without commas between key and value.
func clojure(raw []byte) string {
	if raw == nil {
		return "nil"
	}
	dec := json.NewDecoder(bytes.NewReader(blankControls(raw)))
	dec.UseNumber()
	var b strings.Builder
	if err := clojureValue(&b, dec); err != nil {
		return "nil"
	}
	return b.String()
}

func clojureValue(b *strings.Builder, dec *json.Decoder) error {
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	switch t := tok.(type) {
	case json.Delim:
		return clojureList(b, dec, t)
	case string:
		b.WriteString(quote(t))
	case json.Number:
		b.WriteString(t.String())
	case bool:
		if t {
			b.WriteString("true")
		} else {
			b.WriteString("false")
		}
	default:
		b.WriteString("nil")
	}
	return nil
}

func clojureList(b *strings.Builder, dec *json.Decoder, open json.Delim) error {
	b.WriteRune(rune(open))
	for i := 0; dec.More(); i++ {
		switch {
		case i == 0:
		case open == '{' && i%2 == 0:
			b.WriteString(", ")
		default:
			b.WriteByte(' ')
		}
		if err := clojureValue(b, dec); err != nil {
			return err
		}
	}
	end, err := dec.Token()
	if err != nil {
		return errors.Join(err, io.ErrUnexpectedEOF)
	}
	b.WriteRune(rune(end.(json.Delim)))
	return nil
}

// quote is pr-str of a string.
func quote(s string) string {
	return `"` + strings.NewReplacer(
		`"`, `\"`, `\`, `\\`, "\n", `\n`, "\t", `\t`, "\r", `\r`, "\f", `\f`, "\b", `\b`,
	).Replace(s) + `"`
}

// quoteAll is pr-str of a parameter: one value as a string, several as a vector.
func quoteAll(values []string) string {
	switch len(values) {
	case 0:
		return "nil"
	case 1:
		return quote(values[0])
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	return "[" + strings.Join(quoted, " ") + "]"
}
