package pdb

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"dalang/commands"
	"dalang/wireformat"
)

// errTooLarge is a body of more bytes than max-command-size.
func errTooLarge() *Problem {
	return Textf(http.StatusRequestEntityTooLarge, "Command size exceeds max-command-size")
}

// read does every check of spec §1.2 that comes before the body is stored, in
// upstream's order, and returns the submission and how long to wait for it.
func (c *Commands) read(r *http.Request) (commands.Submission, time.Duration, error) {
	params, err := ParseParams(r.URL.RawQuery)
	if err != nil {
		return commands.Submission{}, 0, JSONf(http.StatusBadRequest, "%s", err)
	}
	if err := c.checkSize(r, params); err != nil {
		return commands.Submission{}, 0, err
	}
	gzipped, err := checkEncoding(r)
	if err != nil {
		return commands.Submission{}, 0, err
	}
	if err := CheckContentType(r); err != nil {
		return commands.Submission{}, 0, err
	}
	if err := CheckAccept(r); err != nil {
		return commands.Submission{}, 0, err
	}
	var raw rawSubmission
	if params.Has("command") {
		raw = fromParams(params, r.Body)
		raw.gzip = gzipped
	} else if raw, err = c.fromEnvelope(r, params); err != nil {
		return commands.Submission{}, 0, err
	}
	sub, err := raw.validate()
	if err != nil {
		return commands.Submission{}, 0, err
	}
	var wait time.Duration
	if raw.wait != nil {
		if wait, err = c.waitTime(*raw.wait); err != nil {
			return commands.Submission{}, 0, err
		}
	}
	sub.Client = client(r)
	sub.Body = raw.body
	if c.cfg.RejectLarge {
		if sub.Body, err = c.limit(raw); err != nil {
			return commands.Submission{}, 0, err
		}
	}
	return sub, wait, nil
}

// checkSize measures what the headers of a POST announce, and refuses it when
// it is too much.
func (c *Commands) checkSize(r *http.Request, params Params) error {
	if r.Method != http.MethodPost {
		return nil
	}
	size := r.ContentLength
	if h := r.Header.Get("X-Uncompressed-Length"); h != "" {
		if n, err := strconv.ParseInt(h, 10, 64); err == nil {
			size = n
		} else {
			c.cfg.Logger.LogAttrs(r.Context(), slog.LevelWarn, "X-Uncompressed-Length is no number", slog.String("value", h))
		}
	}
	if size < 0 {
		return nil
	}
	name, _ := params.Get("command")
	if v, ok := wireformat.Lookup(strings.ReplaceAll(name, "_", " ")); ok {
		text, _ := params.Get("version")
		// Versions nobody knows share one label: a client must not make labels.
		version := "other"
		if n, ok := javaInt(text); ok && n >= v.Oldest && n <= v.Latest {
			version = strconv.Itoa(n)
		}
		c.metrics.size.WithLabelValues(string(v.Command), version).Observe(float64(size))
	}
	if c.cfg.RejectLarge && size > c.cfg.MaxCommandSize {
		c.cfg.Logger.LogAttrs(r.Context(), slog.LevelWarn, "command is larger than max-command-size",
			slog.Int64("size", size), slog.Int64("max_command_size", c.cfg.MaxCommandSize))
		return Textf(http.StatusRequestEntityTooLarge, "Command rejected due to size exceeding max-command-size")
	}
	return nil
}

// checkEncoding tells whether the body is gzipped. Only POST refuses other
// encodings. Upstream's table is case-sensitive, but Jetty in front of it
// unpacks "GZIP" as well.
func checkEncoding(r *http.Request) (gzipped bool, err error) {
	enc := r.Header.Get("Content-Encoding")
	switch {
	case strings.EqualFold(enc, "gzip"):
		return true, nil
	case r.Method != http.MethodPost, enc == "", enc == "identity":
		return false, nil
	}
	return false, Textf(http.StatusUnsupportedMediaType, "content encoding %s not supported", enc)
}

// limit makes the body fail with 413 after max-command-size bytes of the wire.
// An old-format payload is in RAM already; upstream counts it as UTF-16.
func (c *Commands) limit(raw rawSubmission) (io.Reader, error) {
	if !raw.oldFormat {
		return &limitedBody{r: raw.body, left: c.cfg.MaxCommandSize}, nil
	}
	if 2*int64(utf8.RuneCount(raw.payload)) > c.cfg.MaxCommandSize {
		return nil, errTooLarge()
	}
	return raw.body, nil
}

// limitedBody fails once more than left bytes come.
type limitedBody struct {
	r    io.Reader
	left int64
}

func (l *limitedBody) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, errTooLarge()
	}
	return n, err
}

// rawSubmission is a submission of either format before it is validated.
// Values are nil when absent; command and certname also carry how upstream's
// messages print them.
type rawSubmission struct {
	oldFormat bool
	keys      []string // parameters that were sent, whatever they are called

	command      *string
	commandShown string

	certname      *string // nil too when it is no string
	certnameShown string

	version   int
	versionOK bool

	producer, checksum string
	wait               *string

	gzip    bool
	body    io.Reader
	payload []byte // old format only
}

// fromParams reads the new format: parameters in the URL, payload in the body.
func fromParams(params Params, body io.Reader) rawSubmission {
	raw := rawSubmission{keys: params.Keys(), body: body}
	normal := make([]string, 0, 1)
	for _, v := range params.All("command") {
		normal = append(normal, strings.ReplaceAll(v, "_", " "))
	}
	// Several names: upstream normalises the printed vector, which is then the
	// name of no command.
	name := normal[0]
	if len(normal) > 1 {
		name = quoteAll(normal)
	}
	raw.command, raw.commandShown = &name, quote(name)
	raw.certnameShown = quoteAll(params.All("certname"))
	if v, ok := params.Get("certname"); ok {
		raw.certname = &v
	}
	if v, ok := params.Get("version"); ok {
		raw.version, raw.versionOK = javaInt(v)
	}
	// The key is always set, to null when it was not sent; so a missing version
	// is never reported as missing but as no integer.
	if !params.Has("version") {
		raw.keys = append(slices.Clone(raw.keys), "version")
	}
	raw.producer, _ = params.Get("producer-timestamp")
	raw.checksum, _ = params.Get("checksum")
	if all := params.All("secondsToWaitForCompletion"); len(all) == 1 {
		raw.wait = &all[0]
	} else if len(all) > 1 {
		shown := quoteAll(all)
		raw.wait = &shown // no number: refused as such
	}
	return raw
}

// fromEnvelope reads the old format: everything in the body.
func (c *Commands) fromEnvelope(r *http.Request, params Params) (rawSubmission, error) {
	Note(r.Context(), slog.Bool("old_format", true))
	body, err := io.ReadAll(io.LimitReader(r.Body, c.cfg.MaxOldFormat+1))
	if err != nil {
		return rawSubmission{}, err
	}
	if int64(len(body)) > c.cfg.MaxOldFormat {
		return rawSubmission{}, errTooLarge()
	}
	env, err := parseEnvelope(body)
	if err != nil && !errors.Is(err, errNotObject) {
		env = nil
	}
	payload := env.get("payload")
	var certname []byte
	if len(payload) > 0 && payload[0] == '{' {
		if inner, err := parseEnvelope(payload); err == nil {
			certname = inner.get("certname")
		}
	}
	raw := rawSubmission{
		oldFormat: true, payload: payload, body: bytes.NewReader(payload),
		commandShown: clojure(env.get("command")), certnameShown: clojure(certname),
	}
	switch {
	case !truthy(env.get("command")) || !truthy(env.get("version")) || !truthy(payload):
		return raw, raw.invalid("Command was submitted without query parameters (old format). " +
			"The request body must be a JSON map with required keys: command, version, payload.")
	case payload[0] != '{':
		return raw, raw.invalid("Command was submitted without query parameters (old format). " +
			"The payload value must be a JSON map.")
	}
	raw.fill(env, certname)
	raw.settleChecksum(body, params)
	return raw, nil
}

// fill takes the parameters from the envelope. The certname is always the
// payload's; null parameters count as absent.
func (raw *rawSubmission) fill(env envelope, certname []byte) {
	for _, m := range env {
		if m.key != "payload" && m.key != "certname" && string(m.raw) != "null" {
			raw.keys = append(raw.keys, m.key)
		}
	}
	if certname != nil && string(certname) != "null" {
		raw.keys = append(raw.keys, "certname")
	}
	if s, ok := jsonString(env.get("command")); ok {
		raw.command = &s
	}
	if s, ok := jsonString(certname); ok {
		raw.certname = &s
	}
	if v := string(env.get("version")); v != "" && !strings.ContainsAny(v, ".eE\"") {
		raw.version, raw.versionOK = javaInt(v)
	}
	raw.producer, _ = jsonString(env.get("producer-timestamp"))
	raw.checksum, _ = jsonString(env.get("checksum"))
	if v := env.get("secondsToWaitForCompletion"); truthy(v) {
		text, ok := jsonString(v)
		if !ok {
			text = string(v) // a number: kinder than upstream's 500
		}
		raw.wait = &text
	}
}

// settleChecksum lets the seed's promise hold for the old format too: its
// checksum may also be a query parameter (all others are dropped, as upstream
// does), and may be of the whole body. Once proven it is not passed on.
func (raw *rawSubmission) settleChecksum(body []byte, params Params) {
	if raw.checksum == "" {
		raw.checksum, _ = params.Get("checksum")
	}
	sum := sha1.Sum(body)
	if strings.EqualFold(raw.checksum, hex.EncodeToString(sum[:])) {
		raw.checksum = ""
	}
}

// invalid is a 400 in upstream's words.
func (raw *rawSubmission) invalid(format string, args ...any) *Problem {
	return JSONf(http.StatusBadRequest, "Command %s for certname %s is invalid. %s",
		raw.commandShown, raw.certnameShown, fmt.Sprintf(format, args...))
}

var (
	required = [...]string{"certname", "version", "command"}
	allowed  = [...]string{"checksum", "secondsToWaitForCompletion", "certname", "command", "version", "producer-timestamp"}
)

// validate is spec §1.4: the first failure wins.
func (raw *rawSubmission) validate() (commands.Submission, error) {
	var missing, unknown []string
	for _, k := range required {
		if !slices.Contains(raw.keys, k) {
			missing = append(missing, k)
		}
	}
	for _, k := range raw.keys {
		if !slices.Contains(allowed[:], k) {
			unknown = append(unknown, k)
		}
	}
	switch {
	case missing != nil:
		return commands.Submission{}, raw.invalid("Command is missing required parameters: %s.", strings.Join(missing, ", "))
	case unknown != nil:
		return commands.Submission{}, raw.invalid("Command has invalid parameters: %s.", strings.Join(unknown, ", "))
	case raw.certname == nil || javaBlank(*raw.certname):
		return commands.Submission{}, raw.invalid("Certname must be a non-empty string.")
	}
	known, ok := wireformat.Versions{}, false
	if raw.command != nil {
		known, ok = wireformat.Lookup(*raw.command)
	}
	switch {
	case !ok:
		return commands.Submission{}, raw.invalid("Command must be one of: %s.", strings.Join(names(), ", "))
	case !raw.versionOK:
		return commands.Submission{}, raw.invalid("Version must be a valid integer.")
	case raw.version < known.MinPosted:
		return commands.Submission{}, raw.invalid("Version %d of command %s is retired. The minimum supported version is %d.",
			raw.version, raw.commandShown, known.MinPosted)
	}
	sub := commands.Submission{
		Command: known.Command, Version: raw.version, Certname: *raw.certname,
		Checksum: raw.checksum, Gzip: raw.gzip,
	}
	// Upstream treats an unreadable time as none, not as a mistake.
	if t, err := wireformat.ParseStrictTime(raw.producer); err == nil {
		sub.Producer = t
	}
	return sub, nil
}

// names lists the commands for the message about an unknown one.
func names() []string {
	var names []string
	for _, v := range wireformat.Commands() {
		names = append(names, string(v.Command))
	}
	return names
}

// asWireError finds the decoder's error in a chain.
func asWireError(err error) (*wireformat.Error, bool) {
	var we *wireformat.Error
	ok := errors.As(err, &we)
	return we, ok
}

// statusOf is the status of a problem, 500 of any other error.
func statusOf(err error) int {
	var p *Problem
	if errors.As(err, &p) {
		return p.Status
	}
	return http.StatusInternalServerError
}
