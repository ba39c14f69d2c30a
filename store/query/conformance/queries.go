package conformance

import (
	"encoding/json"
	"path/filepath"
	"strings"
)

// Recorded is a query of a recorded case.
type Recorded struct {
	Path string
	Text string // AST or PQL
}

// Queries lists the queries of the recorded cases below the folder testdata,
// without those that fill in what other requests answered.
func Queries(testdata string) ([]Recorded, error) {
	files, err := filepath.Glob(filepath.Join(testdata, "conformance", "cases-*.jsonl"))
	if err != nil {
		return nil, err
	}
	files = append(files, filepath.Join(testdata, "difffuzz", "cases.jsonl"))
	var out []Recorded
	for _, file := range files {
		cases, err := Lines[Case](file)
		if err != nil {
			return nil, err
		}
		for _, c := range cases {
			text, err := c.query()
			if err != nil {
				return nil, err
			}
			if text != "" && !strings.Contains(text, "${") {
				out = append(out, Recorded{c.Path, text})
			}
		}
	}
	return out, nil
}

// query is the text of a request's query, or "".
func (r Request) query() (string, error) {
	if r.Body != nil {
		var body struct{ Query json.RawMessage }
		if json.Unmarshal([]byte(*r.Body), &body) != nil { // a broken one
			return "", nil
		}
		var text string
		if json.Unmarshal(body.Query, &text) == nil {
			return text, nil
		}
		return string(body.Query), nil
	}
	pairs, err := r.pairs()
	for _, p := range pairs {
		if p[0] == "query" {
			return p[1], err
		}
	}
	return "", err
}
