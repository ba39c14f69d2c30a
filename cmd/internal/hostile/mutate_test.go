package hostile

import (
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// neighbour is a good command among the bad.
func neighbour(certname string) request {
	body := fmt.Sprintf(`{"certname":%q,"environment":"production","producer":null,"producer_timestamp":"2026-11-01T00:00:00.000Z","values":{"fine":"yes"}}`, certname)
	return request{http.MethodPost,
		url.Values{"command": {"replace_facts"}, "version": {"5"}, "certname": {certname}},
		http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}, []byte(body)}
}

// hostile is a recorded command with something, or many things, wrong.
func (a *attack) hostile() request {
	c := a.corpus[a.random.IntN(len(a.corpus))]
	r := request{http.MethodPost, url.Values{"command": {c.Command}, "version": {strconv.Itoa(c.Version)}, "certname": {c.Certname}},
		http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}, []byte(c.Body)}
	if a.random.IntN(8) == 0 { // old format
		r.body = []byte(fmt.Sprintf(`{"command":%q,"version":%d,"payload":%s}`, strings.ReplaceAll(c.Command, "_", " "), c.Version, c.Body))
		r.query = url.Values{}
	}
	for range 1 + a.random.IntN(3) {
		bodyMutations[a.random.IntN(len(bodyMutations))](a.random, &r)
	}
	if a.random.IntN(3) == 0 {
		requestMutations[a.random.IntN(len(requestMutations))](a.random, &r)
	}
	if a.random.IntN(3) == 0 {
		encodingMutations[a.random.IntN(len(encodingMutations))](a.random, &r)
	}
	return r
}

// bodyMutations change the JSON text.
var bodyMutations = []func(*rand.Rand, *request){
	func(g *rand.Rand, r *request) { r.body = r.body[:g.IntN(len(r.body)+1)] },
	func(g *rand.Rand, r *request) { r.body = splice(g, r.body, []byte{byte(g.IntN(256))}) },
	func(g *rand.Rand, r *request) { r.body = splice(g, r.body, []byte("\x00\xff\xfe\xc0\xaf\xed\xa0\x80")) },
	func(g *rand.Rand, r *request) {
		i, j := g.IntN(len(r.body)+1), g.IntN(len(r.body)+1)
		r.body = splice(g, r.body, r.body[min(i, j):max(i, j)])
	},
	func(g *rand.Rand, r *request) {
		r.body = splice(g, r.body, []byte(strings.Repeat("[", 1+g.IntN(100_000))))
	},
	func(g *rand.Rand, r *request) {
		r.body = splice(g, r.body, []byte(strings.Repeat(`{"a":`, 1+g.IntN(20_000))))
	},
	func(g *rand.Rand, r *request) {
		r.body = replaceOne(g, r.body, []string{"null", "true", "1e999", "-0", "1" + strings.Repeat("0", 400), `""`, "{}", "[]", `"\ud800"`, "NaN", "01", `"9999-99-99T99:99:99Z"`})
	},
	func(g *rand.Rand, r *request) { r.body = bytes.ReplaceAll(r.body, []byte(`:"`), []byte(`:[["`)) },
	func(g *rand.Rand, r *request) {
		keys := []string{"certname", "values", "resources", "edges", "producer_timestamp", "environment", "tags", "parameters", "events", "type", "title"}
		r.body = bytes.Replace(r.body, []byte(`"`+keys[g.IntN(len(keys))]+`"`), []byte(`"`+keys[g.IntN(len(keys))]+`"`), 1)
	},
	func(g *rand.Rand, r *request) {}, // leave the body alone: the request is what is wrong
}

// requestMutations change parameters, headers and method.
var requestMutations = []func(*rand.Rand, *request){
	func(g *rand.Rand, r *request) {
		r.query.Set("version", pick(g, "", "-1", "0", "99", strconv.Itoa(g.IntN(1_000_000)), "1e3", "99999999999999999999", "5 ", "５", "+5", "0x5"))
	},
	func(g *rand.Rand, r *request) {
		r.query.Set("certname", pick(g, "", " ", strings.Repeat("x", 1+g.IntN(6000)), "../../etc/passwd", "a\x00b", "\xff\xfe", "ｈｏｓｔ", "a/b\\c:d_e", strings.Repeat("é", 300)))
	},
	func(g *rand.Rand, r *request) {
		r.query.Set("command", pick(g, "", "replace", "REPLACE_FACTS", "replace__facts", "\x00", "drop table node", strings.Repeat("_", 5000)))
	},
	func(g *rand.Rand, r *request) {
		r.query.Set("producer-timestamp", pick(g, "", "now", "9999999999999", "0000-00-00", "+292278994-08-17T07:12:55.807Z", "2026-11-01T00:00:00.000Z"))
	},
	func(g *rand.Rand, r *request) {
		r.query.Set("checksum", pick(g, "", "0", strings.Repeat("0", 40), strings.Repeat("g", 4000), sum(r.body)))
	},
	func(g *rand.Rand, r *request) { r.query.Set(pick(g, "received", "payload", "x\x00", "uuid"), "1") },
	func(g *rand.Rand, r *request) {
		r.query.Add(pick(g, "certname", "command", "version", "checksum"), "twice")
	},
	func(g *rand.Rand, r *request) {
		r.method = pick(g, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions)
	},
	func(g *rand.Rand, r *request) {
		r.headers.Set("Content-Type", pick(g, "", "text/html", "application/x-www-form-urlencoded", "a/b/c;;;", "application/json; charset=utf-16"))
	},
	func(g *rand.Rand, r *request) {
		r.headers.Set("Accept", pick(g, "", "text/html", "*/*;q=0", strings.Repeat("a,", 3000)))
	},
	func(g *rand.Rand, r *request) {
		r.headers.Set("X-Uncompressed-Length", pick(g, "", "-1", "99999999999999999999", "many", "1"))
	},
}

// encodingMutations change how the body is packed.
var encodingMutations = []func(*rand.Rand, *request){
	func(g *rand.Rand, r *request) {
		r.headers.Set("Content-Encoding", pick(g, "deflate", "br", "GZIP", "gzip, gzip"))
	},
	func(g *rand.Rand, r *request) { r.headers.Set("Content-Encoding", "gzip") }, // a lie
	func(g *rand.Rand, r *request) { r.headers.Set("Content-Encoding", "gzip"); r.body = pack(r.body) },
	func(g *rand.Rand, r *request) {
		r.headers.Set("Content-Encoding", "gzip")
		r.body = pack(r.body)
		r.body = r.body[:g.IntN(len(r.body))]
	},
	func(g *rand.Rand, r *request) {
		r.headers.Set("Content-Encoding", "gzip")
		r.body = pack(r.body)
		r.body[g.IntN(len(r.body))] ^= 1 << g.IntN(8)
	},
	func(g *rand.Rand, r *request) { // a small bomb
		r.headers.Set("Content-Encoding", "gzip")
		r.body = pack(bytes.Repeat([]byte(" "), 1<<20))
	},
}

func pick(g *rand.Rand, choices ...string) string { return choices[g.IntN(len(choices))] }

func splice(g *rand.Rand, body, insert []byte) []byte {
	at := g.IntN(len(body) + 1)
	return bytes.Join([][]byte{body[:at], insert, body[at:]}, nil)
}

// replaceOne puts a choice where some value stands.
func replaceOne(g *rand.Rand, body []byte, choices []string) []byte {
	colon := bytes.IndexByte(body[g.IntN(len(body)+1):], ':')
	if colon < 0 {
		return body
	}
	end := colon + 1
	for end < len(body) && !bytes.ContainsRune([]byte(",}]"), rune(body[end])) {
		end++
	}
	return bytes.Join([][]byte{body[:colon+1], []byte(choices[g.IntN(len(choices))]), body[end:]}, nil)
}

func pack(body []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	_, _ = w.Write(body)
	_ = w.Close()
	return b.Bytes()
}

func sum(body []byte) string {
	h := sha1.Sum(body)
	return hex.EncodeToString(h[:])
}
