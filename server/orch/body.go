package orch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"dalang/orchestrator/job"
)

// object is a JSON object whose members are taken out one by one. Null members
// are absent. The first mistake is kept, and what is taken after it is empty.
type object struct {
	path    string // of the object in the body: "" or "scope."
	members map[string]json.RawMessage
	known   []string // keys that were asked for
	secret  []string // keys that came from sensitive_<path>: named so, and their values not shown
	lenient func(unknown []string)
	err     error
}

// readBody reads a request's body. Read all members, then ask done.
func (a *API) readBody(w http.ResponseWriter, r *http.Request) (*object, error) {
	text, err := readText(w, r, a.cfg.MaxBody)
	if err != nil {
		return nil, err
	}
	o, err := parseObject(text)
	if err != nil {
		return nil, err
	}
	if a.cfg.LenientKeys {
		o.lenient = func(unknown []string) {
			a.cfg.Logger.LogAttrs(r.Context(), slog.LevelWarn, "a request has keys that are not known; they do nothing",
				slog.String("path", r.URL.Path), slog.Any("keys", unknown))
		}
	}
	return o, nil
}

// readText reads a request's body, which has to be UTF-8.
func readText(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		e := job.Invalid("", "The request body is larger than %d bytes", tooBig.Limit)
		e.Status = http.StatusRequestEntityTooLarge
		return nil, e
	case err != nil:
		return nil, err
	case !utf8.Valid(text):
		return nil, invalid("", "a JSON object in UTF-8", "bytes that are no UTF-8")
	}
	return text, nil
}

// parseObject reads the text of a body. Of keys that are given twice the last counts.
func parseObject(text []byte) (*object, error) {
	var members map[string]json.RawMessage
	err := json.Unmarshal(text, &members)
	var syntax *json.SyntaxError
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return nil, invalid("", "a JSON object", "nothing")
	case errors.As(err, &syntax):
		return nil, invalid("", "a JSON object", fmt.Sprintf("no JSON: %v at byte %d", err, syntax.Offset))
	case err != nil || members == nil:
		return nil, invalid("", "a JSON object", what(text))
	}
	return &object{members: members}, nil
}

// invalid is the error for a value that is not what was expected. key is empty
// for the body as a whole.
func invalid(key, expected, got string) *job.Error {
	subject := key
	if key == "" {
		subject = "The request body"
	}
	e := job.Invalid(key, "%s must be %s, and is %s", subject, expected, got)
	if e.Details == nil {
		e.Details = map[string]any{}
	}
	e.Details["expected"], e.Details["got"] = expected, got
	return e
}

// what names the type of a JSON value; the value itself may be a secret.
func what(text json.RawMessage) string {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return "nothing"
	}
	switch c := text[0]; {
	case c == '{':
		return "an object"
	case c == '[':
		return "an array"
	case c == '"':
		return "a string"
	case c == 't' || c == 'f':
		return "a boolean"
	case c == 'n':
		return "null"
	}
	return "a number"
}

// quoted shows a value that is no secret, shortened.
func quoted(s string) string { return fmt.Sprintf("%q", shortened(s)) }

func shortened(s string) string {
	const most = 80
	if utf8.RuneCountInString(s) > most {
		return string([]rune(s)[:most]) + "…"
	}
	return s
}

// abridged leaves out the middle of a message that is too long for people. What
// is wrong is said at its ends.
func abridged(msg string) string {
	const most = 4000
	runes := []rune(msg)
	if len(runes) <= most {
		return msg
	}
	return string(runes[:most/4]) + " … " + string(runes[len(runes)-most/2:])
}

// fail keeps the first mistake.
func (o *object) fail(err error) {
	if o.err == nil {
		o.err = err
	}
}

// wrong keeps the mistake that a member is not what was expected.
func (o *object) wrong(key, expected, got string) { o.fail(invalid(o.name(key), expected, got)) }

// wrongValue is wrong where got is the value, or says something of it.
func (o *object) wrongValue(key, expected, got string) {
	if o.isSecret(key) {
		got = what(o.members[key])
	}
	o.wrong(key, expected, got)
}

func (o *object) isSecret(key string) bool { return slices.Contains(o.secret, key) }

// name is the path of a member, or of something in it: of a secret one no more
// than its own.
func (o *object) name(key string) string {
	for _, own := range []string{key, key[:strings.IndexAny(key+".", ".[")]} {
		if o.isSecret(own) {
			return "sensitive_" + o.path + own
		}
	}
	return o.path + key
}

// take is the text of a member, nil if it is absent.
func (o *object) take(key string) json.RawMessage {
	o.known = append(o.known, key)
	text := o.members[key]
	if o.err != nil || string(text) == "null" {
		return nil
	}
	return text
}

// has tells whether a member is there.
func (o *object) has(key string) bool {
	text, ok := o.members[key]
	return ok && string(text) != "null"
}

// text is a string member, nil if it is absent.
func (o *object) text(key string) *string {
	raw := o.take(key)
	if raw == nil {
		return nil
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		o.wrong(key, "a string", what(raw))
		return nil
	}
	return &s
}

// flag is a boolean member, nil if it is absent.
func (o *object) flag(key string) *bool {
	raw := o.take(key)
	if raw == nil {
		return nil
	}
	var b bool
	if json.Unmarshal(raw, &b) != nil {
		o.wrong(key, "a boolean", what(raw))
		return nil
	}
	return &b
}

// integer is a member that is an integer of at least low, nil if it is absent.
// A number whose fraction is zero is one.
func (o *object) integer(key string, low int64) *int64 { return o.between(key, low, math.MaxInt32) }

// between is integer with another largest value.
func (o *object) between(key string, low, high int64) *int64 {
	raw := o.take(key)
	if raw == nil {
		return nil
	}
	expected := fmt.Sprintf("an integer from %d to %d", low, high)
	var f float64
	switch err := json.Unmarshal(raw, &f); {
	case err != nil && what(raw) != "a number":
		o.wrong(key, expected, what(raw))
	case err != nil || f != math.Trunc(f) || f < float64(low) || f > float64(high):
		o.wrongValue(key, expected, shortened(string(raw)))
	default:
		n := int64(f)
		return &n
	}
	return nil
}

// object is a member that is an object, nil if it is absent.
func (o *object) object(key string) *object {
	raw := o.take(key)
	if raw == nil {
		return nil
	}
	inner := &object{path: o.path + key + ".", lenient: o.lenient}
	if json.Unmarshal(raw, &inner.members) != nil {
		o.wrong(key, "an object", what(raw))
		return nil
	}
	return inner
}

// data is a member that is an object of the caller's own, {} if it is absent;
// encoded it has at most limit bytes.
func (o *object) data(key string, limit int) json.RawMessage {
	raw := o.take(key)
	if raw == nil {
		return json.RawMessage("{}")
	}
	if what(raw) != "an object" {
		o.wrong(key, "an object", what(raw))
		return json.RawMessage("{}")
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil || b.Len() > limit {
		o.wrong(key, fmt.Sprintf("an object of at most %d bytes", limit), fmt.Sprintf("%d bytes", b.Len()))
		return json.RawMessage("{}")
	}
	return b.Bytes()
}

// names is a member that is an array of at most limit strings, none empty. given
// tells an empty array from none.
func (o *object) names(key string, limit int) (list []string, given bool) {
	raw := o.take(key)
	if raw == nil {
		return nil, false
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		o.wrong(key, "an array of strings", what(raw))
		return nil, false
	}
	if len(items) > limit {
		o.wrong(key, fmt.Sprintf("an array of at most %d strings", limit), fmt.Sprintf("%d", len(items)))
		return nil, false
	}
	list = make([]string, len(items))
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", key, i)
		if what(item) != "a string" || json.Unmarshal(item, &list[i]) != nil {
			o.wrong(at, "a string", what(item))
			return nil, false
		}
		if strings.TrimSpace(list[i]) == "" {
			o.wrong(at, "a string that is not empty", quoted(list[i]))
			return nil, false
		}
	}
	return list, true
}

// done is the first mistake: a key that nobody asked for comes before all others.
func (o *object) done() error {
	var unknown []string
	for _, key := range slices.Sorted(maps.Keys(o.members)) {
		if !slices.Contains(o.known, key) {
			unknown = append(unknown, shortened(o.name(key)))
		}
	}
	switch {
	case unknown == nil:
		return o.err
	case o.lenient != nil:
		o.lenient(unknown)
		return o.err
	}
	unknown = unknown[:min(len(unknown), 10)]
	slices.Sort(o.known)
	e := job.Invalid(unknown[0], "Unknown key %s; known are %s", strings.Join(unknown, ", "), strings.Join(o.known, ", "))
	if e.Details == nil { // the key is ""
		e.Details = map[string]any{"key": unknown[0]}
	}
	e.Details["expected"] = "one of " + strings.Join(o.known, ", ")
	e.Details["got"] = "an unknown key"
	e.Details["keys"] = unknown
	return e
}
