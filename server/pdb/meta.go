package pdb

import (
	"net/http"
	"time"
)

// Meta answers /pdb/meta/v1 (spec commands.md §8.2). Any method is served.
type Meta struct {
	version string
	now     func() time.Time
}

// NewMeta makes a Meta. An empty version is CompatibleVersion, a nil clock the
// wall clock.
func NewMeta(version string, now func() time.Time) *Meta {
	if version == "" {
		version = CompatibleVersion
	}
	if now == nil {
		now = time.Now
	}
	return &Meta{version: version, now: now}
}

// check is what every route of meta asks of a request, in upstream's order.
func (m *Meta) check(r *http.Request) error {
	if err := NoParams(r); err != nil {
		return err
	}
	return CheckAccept(r)
}

// Version answers {"version": …}.
func (m *Meta) Version(w http.ResponseWriter, r *http.Request) error {
	if err := m.check(r); err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, map[string]string{"version": m.version})
}

// Latest always answers what upstream does when its update server is out of
// reach: Dalang does not phone home.
func (m *Meta) Latest(_ http.ResponseWriter, r *http.Request) error {
	if err := m.check(r); err != nil {
		return err
	}
	return Textf(http.StatusNotFound, "Could not find version")
}

// ServerTime answers {"server_time": "2024-01-01T00:00:00.000Z"}.
func (m *Meta) ServerTime(w http.ResponseWriter, r *http.Request) error {
	if err := m.check(r); err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, map[string]string{
		"server_time": m.now().UTC().Format("2006-01-02T15:04:05.000Z"),
	})
}
