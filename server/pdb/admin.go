package pdb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
)

// ErrCleaning is what Janitor.Clean answers while another cleanup runs.
var ErrCleaning = errors.New("Another cleanup is already in progress")

// Janitor is what the admin API needs of the store. All methods may be called
// by many goroutines at once.
type Janitor interface {
	// Clean does the operations in the order given and returns when they are
	// done. It wraps ErrCleaning when a cleanup is running already; with any
	// other error some operations may have been done.
	Clean(ctx context.Context, ops []CleanOp) error
	// DeleteNode removes a node with all its data. An unknown one is no error.
	DeleteNode(ctx context.Context, certname string) error
	// SummaryStats returns what /summary-stats answers, without the version.
	SummaryStats(ctx context.Context) (map[string]any, error)
}

// CleanOp is one kind of cleanup.
type CleanOp struct {
	Name string // one of CleanOps
	// BatchLimit bounds how many nodes purge_nodes deletes; 0: no bound.
	BatchLimit int
}

// CleanOps lists the kinds of cleanup in the order in which they are done.
func CleanOps() []string {
	return []string{
		"expire_nodes", "purge_nodes", "purge_reports", "purge_resource_events",
		"gc_packages", "other", "gc_catalogs", "gc_fact_paths",
	}
}

// Admin answers /pdb/admin/v1/cmd and /summary-stats (spec commands.md
// §7.3-7.4).
type Admin struct {
	janitor Janitor
	version string
	logger  *slog.Logger
}

// NewAdmin makes an Admin. An empty version is CompatibleVersion; the logger
// may be nil.
func NewAdmin(janitor Janitor, version string, logger *slog.Logger) *Admin {
	if version == "" {
		version = CompatibleVersion
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Admin{janitor: janitor, version: version, logger: logger}
}

// maxAdminBody bounds the body of an admin command.
const maxAdminBody = 1 << 20

// Command does what the body says: clean or delete. Neither Accept nor
// Content-Type nor parameters matter.
func (a *Admin) Command(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAdminBody))
	if err != nil {
		return err
	}
	env, err := parseEnvelope(body)
	if err != nil && !errors.Is(err, errNotObject) && !errors.Is(err, io.EOF) {
		return invalidAdmin(body, "the body is not JSON: "+err.Error())
	}
	switch command, _ := jsonString(env.get("command")); command {
	case "clean":
		return a.clean(w, r, body, env)
	case "delete":
		return a.delete(w, r, body, env)
	}
	return invalidAdmin(body, "Valid commands types are: 'clean' and 'delete'")
}

// invalidAdmin quotes the whole body, as upstream does.
func invalidAdmin(body []byte, why string) error {
	return JSONf(http.StatusBadRequest, "Invalid command %s: %s", quote(string(bytes.ToValidUTF8(body, []byte("\uFFFD")))), why)
}

// strict tells whether the envelope has exactly the three keys and version 1.
func strict(env envelope) bool {
	return len(env) == 3 && string(env.get("version")) == "1" && env.get("payload") != nil
}

func (a *Admin) clean(w http.ResponseWriter, r *http.Request, body []byte, env envelope) error {
	ops, ok := parseCleanOps(env.get("payload"))
	if !ok || !strict(env) {
		return invalidAdmin(body, "nil")
	}
	err := a.janitor.Clean(r.Context(), ops)
	switch {
	case errors.Is(err, ErrCleaning):
		return WriteJSON(w, http.StatusConflict, struct {
			Kind    string  `json:"kind"`
			Message string  `json:"msg"`
			Details *string `json:"details"`
		}{"conflict", ErrCleaning.Error(), nil})
	case err != nil:
		// As upstream: a step that failed is logged; the request was served.
		a.logger.LogAttrs(r.Context(), slog.LevelError, "cleanup failed", slog.Any("error", err))
		Note(r.Context(), slog.String("error", err.Error()))
	}
	return WriteJSON(w, http.StatusOK, map[string]bool{"ok": true})
}

// parseCleanOps reads a list of names, or ["purge_nodes", {"batch_limit": n}].
// The last of a kind wins; an empty list, or null, is everything. The result
// is in the order of CleanOps.
func parseCleanOps(payload []byte) ([]CleanOp, bool) {
	var list []json.RawMessage
	if json.Unmarshal(payload, &list) != nil {
		return nil, false
	}
	known := CleanOps()
	wanted := map[string]CleanOp{}
	for _, raw := range list {
		op, ok := parseCleanOp(raw, known)
		if !ok {
			return nil, false
		}
		wanted[op.Name] = op
	}
	var ops []CleanOp
	for _, name := range known {
		if op, ok := wanted[name]; ok {
			ops = append(ops, op)
		} else if len(list) == 0 {
			ops = append(ops, CleanOp{Name: name})
		}
	}
	return ops, true
}

func parseCleanOp(raw []byte, known []string) (CleanOp, bool) {
	if name, ok := jsonString(raw); ok {
		return CleanOp{Name: name}, slices.Contains(known, name)
	}
	var pair []json.RawMessage
	if json.Unmarshal(raw, &pair) != nil || len(pair) != 2 {
		return CleanOp{}, false
	}
	name, _ := jsonString(pair[0])
	options, err := parseEnvelope(pair[1])
	if name != "purge_nodes" || err != nil || len(options) != 1 {
		return CleanOp{}, false
	}
	limit, err := strconv.Atoi(string(options.get("batch_limit")))
	return CleanOp{Name: name, BatchLimit: max(limit, 0)}, err == nil
}

func (a *Admin) delete(w http.ResponseWriter, r *http.Request, body []byte, env envelope) error {
	payload, err := parseEnvelope(env.get("payload"))
	certname, ok := jsonString(payload.get("certname"))
	if err != nil || !ok || len(payload) != 1 || !strict(env) {
		return invalidAdmin(body, "nil")
	}
	Note(r.Context(), slog.String("certname", certname))
	if err := a.janitor.DeleteNode(r.Context(), certname); err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, map[string]string{"deleted": certname})
}

// SummaryStats answers sizes and distributions. It serves any method.
func (a *Admin) SummaryStats(w http.ResponseWriter, r *http.Request) error {
	stats, err := a.janitor.SummaryStats(r.Context())
	if err != nil {
		return err
	}
	answer := map[string]any{"version": a.version}
	for k, v := range stats {
		answer[k] = v
	}
	return WriteJSON(w, http.StatusOK, answer)
}
