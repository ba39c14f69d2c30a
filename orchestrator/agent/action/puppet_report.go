package action

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
)

// report is what we want of last_run_report.yaml.
type report struct {
	Time            string                 `yaml:"time"`
	TransactionUUID string                 `yaml:"transaction_uuid"`
	Environment     string                 `yaml:"environment"`
	Status          string                 `yaml:"status"`
	JobID           string                 `yaml:"job_id"`
	Metrics         map[string]metricGroup `yaml:"metrics"`
}

// metricGroup holds triples of name, label, value.
type metricGroup struct {
	Values [][]yaml.Node `yaml:"values"`
}

// counters are the metrics of resources, by name.
func (r *report) counters() map[string]json.RawMessage {
	counters := map[string]json.RawMessage{}
	for _, v := range r.Metrics["resources"].Values {
		if len(v) == 3 && json.Valid([]byte(v[2].Value)) {
			counters[v[0].Value] = json.RawMessage(v[2].Value)
		}
	}
	return counters
}

// readReport reads a report. One of thousands of resources has megabytes, of
// which we want a few lines: the rest is skipped unparsed, unless it is needed
// to make sense of those.
func readReport(path string) (*report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only
	part, err := excerpt(f)
	if err != nil {
		return nil, err
	}
	var r report
	if yaml.Unmarshal(part, &r) != nil || r.Status == "" {
		whole, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		r = report{}
		if err := yaml.Unmarshal(whole, &r); err != nil {
			return nil, err
		}
	}
	if r.Status == "" || r.TransactionUUID == "" {
		return nil, errors.New("it has no status or no transaction_uuid")
	}
	return &r, nil
}

// excerpt copies the top-level entries that report has. In block style, as Ruby
// writes it, they begin at the start of a line, and nothing else does but lists.
func excerpt(r io.Reader) ([]byte, error) {
	var out bytes.Buffer
	lines := bufio.NewReaderSize(r, 64<<10)
	wanted, begins := false, true
	for {
		line, err := lines.ReadSlice('\n')
		if begins && len(line) > 0 && (line[0] >= 'a' && line[0] <= 'z' || line[0] == '_') {
			key, _, _ := bytes.Cut(line, []byte(":"))
			wanted = wantedKey(string(key))
		}
		if wanted {
			out.Write(line)
		}
		begins = !errors.Is(err, bufio.ErrBufferFull)
		switch {
		case errors.Is(err, io.EOF):
			return out.Bytes(), nil
		case err != nil && begins:
			return nil, fmt.Errorf("report: %w", err)
		}
	}
}

func wantedKey(key string) bool {
	switch key {
	case "time", "transaction_uuid", "environment", "status", "job_id", "metrics":
		return true
	}
	return false
}

// stamp tells versions of a file apart. Puppet replaces its report.
type stamp struct{ info os.FileInfo }

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info}
}

func (s stamp) changed(before stamp) bool {
	if s.info == nil || before.info == nil {
		return s.info != nil
	}
	return !os.SameFile(s.info, before.info) || s.info.Size() != before.info.Size() || !s.info.ModTime().Equal(before.info.ModTime())
}
