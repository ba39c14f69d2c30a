package difffuzz

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"dalang/commands/outcome"
	"dalang/server"
	"dalang/server/pdb"
	"dalang/store"
	"dalang/store/query"
	"dalang/store/query/conformance"
	"dalang/wireformat"
)

// Command is a command of the recorded corpus.
type Command struct {
	Command   string `json:"command"` // with underscores
	Version   int    `json:"version"`
	Certname  string `json:"certname"`
	Timestamp string `json:"producer_timestamp"`
	Body      string `json:"body"`
}

// Corpus reads the recorded commands in the order in which they are to be applied.
func Corpus(testdata string) ([]Command, error) {
	var out []Command
	for _, file := range []string{"agents.jsonl", "edge.jsonl"} {
		list, err := conformance.Lines[Command](filepath.Join(testdata, "corpus", file))
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// firstReceived is when Dalang received the first command; each further one
// came a second later.
const firstReceived = "2030-01-01T00:00:00Z"

// Local is a Dalang in this process that holds the corpus.
type Local struct {
	store   *store.Store
	handler http.Handler
}

// NewLocal opens a store in dir and loads the commands.
func NewLocal(ctx context.Context, dir string, commands []Command) (*Local, error) {
	st, err := store.Open(ctx, store.Config{Path: filepath.Join(dir, "store.db"), ReportTTL: 15000 * 24 * time.Hour})
	if err != nil {
		return nil, err
	}
	l := &Local{store: st}
	if err := l.load(ctx, commands); err != nil {
		_ = st.Close()
		return nil, err
	}
	engine, err := query.New(query.Config{DB: st})
	if err != nil {
		_ = st.Close()
		return nil, err
	}
	s, err := server.New(server.Config{Listen: "127.0.0.1:0", Handlers: server.Handlers{
		More: []server.Router{pdb.NewQueries(pdb.QueryConfig{Engine: engine})},
	}})
	if err != nil {
		_ = st.Close()
		return nil, err
	}
	l.handler = s.Handler()
	return l, nil
}

func (l *Local) load(ctx context.Context, commands []Command) error {
	now, err := time.Parse(time.RFC3339, firstReceived)
	if err != nil {
		return err
	}
	for i, c := range commands {
		kind := wireformat.Command(spaced(c.Command))
		payload, err := wireformat.Decode(kind, c.Version, now, []byte(c.Body))
		if err != nil {
			return fmt.Errorf("command %d: %w", i, err)
		}
		res, err := l.store.Apply(ctx, []outcome.Change{{Payload: payload, Received: now}})
		if err == nil {
			err = res[0].Err
		}
		if err != nil {
			return fmt.Errorf("apply command %d: %w", i, err)
		}
		now = now.Add(time.Second)
	}
	return nil
}

func spaced(command string) string {
	b := []byte(command)
	for i, c := range b {
		if c == '_' {
			b[i] = ' '
		}
	}
	return string(b)
}

// Close closes the store.
func (l *Local) Close() error { return l.store.Close() }

// Ask sends a request.
func (l *Local) Ask(r conformance.Request) (conformance.Answer, error) { return r.Send(l.handler, nil) }

// rows are the rows of an answer that has to be 200.
func rows(ask func(conformance.Request) (conformance.Answer, error), r *Request) ([]map[string]json.RawMessage, error) {
	a, err := ask(r.wire())
	if err != nil {
		return nil, err
	}
	if a.Status != http.StatusOK {
		return nil, fmt.Errorf("%s: %d %s", r.Path, a.Status, a.Body)
	}
	var out []map[string]json.RawMessage
	if err := json.Unmarshal(a.Body, &out); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Path, err)
	}
	return out, nil
}
