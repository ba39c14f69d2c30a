package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"dalang/orchestrator/agent/action"
)

// record is request.json.
type record struct {
	Transaction string    `json:"transaction"` // as it was sent
	Module      string    `json:"module"`
	Action      string    `json:"action"`
	Requester   string    `json:"requester"` // URI
	Request     string    `json:"request"`   // id of the message
	Notify      bool      `json:"notify_outcome"`
	Accepted    time.Time `json:"accepted"`
}

// Names of files; see doc.go.
const (
	requestFile = "request.json"
	claimFile   = "claim"
	resultFile  = "result.json"
	toldFile    = "told"
	private     = 0o600
	privateDir  = 0o700
	tmpPrefix   = "tmp-"
)

// errKnown: the transaction has a directory.
var errKnown = errors.New("the transaction is known")

// errClaimed: another process has the transaction.
var errClaimed = errors.New("the transaction is claimed")

// spool is the directory of all transactions.
type spool struct{ dir string }

// entry is the directory of one.
type entry string

func (e entry) path(name string) string { return filepath.Join(string(e), name) }

// openSpool makes the directory, and clears away what was never complete.
func openSpool(dir string) (*spool, error) {
	if err := os.MkdirAll(dir, privateDir); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, tmpPrefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	for _, path := range left {
		if err := removeAll(path); err != nil {
			return nil, fmt.Errorf("spool: %w", err)
		}
	}
	return &spool{dir}, nil
}

// removeAll removes a directory in which a process that comes too late may be
// just making files.
func removeAll(path string) (err error) {
	for range 20 {
		if err = os.RemoveAll(path); !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return err
}

// entry is where a transaction is or would be.
func (s *spool) entry(transaction string) entry {
	return entry(filepath.Join(s.dir, strings.ToLower(transaction)))
}

// list answers the ids of all transactions.
func (s *spool) list() ([]string, error) {
	all, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	var ids []string
	for _, e := range all {
		if uuid.Validate(e.Name()) == nil {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// accept makes the directory of a transaction, or answers errKnown. When it
// returns nil the transaction will not be forgotten by a crash.
func (s *spool) accept(r record) (entry, error) {
	e := s.entry(r.Transaction)
	if e.known() {
		return e, errKnown
	}
	tmp, err := os.MkdirTemp(s.dir, tmpPrefix)
	if err != nil {
		return e, fmt.Errorf("spool: %w", err)
	}
	if err := entry(tmp).write(requestFile, r); err != nil {
		return e, errors.Join(err, os.RemoveAll(tmp))
	}
	switch err := os.Rename(tmp, string(e)); {
	case errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, syscall.EEXIST):
		return e, errors.Join(errKnown, os.RemoveAll(tmp))
	case err != nil:
		return e, errors.Join(fmt.Errorf("spool: %w", err), os.RemoveAll(tmp))
	}
	return e, syncDir(s.dir)
}

func (e entry) known() bool {
	_, err := os.Stat(string(e))
	return err == nil
}

// remove forgets a transaction at once, not file by file.
func (s *spool) remove(e entry) error {
	gone, err := os.MkdirTemp(s.dir, tmpPrefix)
	if err == nil {
		err = os.Rename(string(e), filepath.Join(gone, "x"))
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err := errors.Join(err, removeAll(gone)); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// claim makes p the one process of a transaction, or answers errClaimed.
func (e entry) claim(p process) error {
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	tmp, err := e.temporary(data)
	if err != nil {
		return err
	}
	defer os.Remove(tmp) // the link stays
	switch err := os.Link(tmp, e.path(claimFile)); {
	case errors.Is(err, os.ErrExist):
		return errClaimed
	case err != nil:
		return fmt.Errorf("spool: %w", err)
	}
	return syncDir(string(e))
}

// claimed reads the claim; os.ErrNotExist if there is none.
func (e entry) claimed() (process, error) {
	var p process
	return p, e.read(claimFile, &p)
}

func (e entry) request() (record, error) {
	var r record
	return r, e.read(requestFile, &r)
}

// result reads how a transaction ended; os.ErrNotExist if it has not.
func (e entry) result() (action.Result, error) {
	var r action.Result
	return r, e.read(resultFile, &r)
}

func (e entry) has(name string) bool {
	_, err := os.Stat(e.path(name))
	return err == nil
}

func (e entry) finish(r action.Result) error { return e.write(resultFile, r) }

func (e entry) tell() error { return e.write(toldFile, struct{}{}) }

// untell: it did not reach anybody.
func (e entry) untell() error {
	if err := os.Remove(e.path(toldFile)); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// ended is when the result was written.
func (e entry) ended() (time.Time, error) {
	info, err := os.Stat(e.path(resultFile))
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

func (e entry) read(name string, v any) error {
	data, err := os.ReadFile(e.path(name))
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("spool: %s: %w", e.path(name), err)
	}
	return nil
}

// write makes a file appear, complete and for good.
func (e entry) write(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("spool: %s: %w", name, err)
	}
	tmp, err := e.temporary(data)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, e.path(name)); err != nil {
		return errors.Join(fmt.Errorf("spool: %w", err), os.Remove(tmp))
	}
	return syncDir(string(e))
}

// temporary writes and syncs a file of some name.
func (e entry) temporary(data []byte) (string, error) {
	f, err := os.CreateTemp(string(e), tmpPrefix)
	if err != nil {
		return "", fmt.Errorf("spool: %w", err)
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("spool: %w", err), os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}
