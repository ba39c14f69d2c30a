package orch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// TypeJSON is the content type of every answer.
const TypeJSON = "application/json; charset=utf-8"

// WriteJSON answers v on one line.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	w.Header().Set("Content-Type", TypeJSON)
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	return err
}

// moment is a time as the API shows it; the zero time is null.
type moment time.Time

func (m moment) MarshalJSON() ([]byte, error) {
	if time.Time(m).IsZero() {
		return []byte("null"), nil
	}
	return []byte(time.Time(m).UTC().Format(`"2006-01-02T15:04:05Z"`)), nil
}

// exactMoment is a time with milliseconds, as connections have it.
type exactMoment time.Time

func (m exactMoment) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(m).UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

// seconds between two times, nil if one of them is not there.
func seconds(from, to time.Time) *float64 {
	if from.IsZero() || to.IsZero() {
		return nil
	}
	s := max(0, to.Sub(from).Seconds())
	return &s
}

// orEmpty is an object, {} if there is none.
func orEmpty(text json.RawMessage) json.RawMessage {
	if len(text) == 0 {
		return json.RawMessage("{}")
	}
	return text
}

// link is a reference to another resource.
type link struct {
	ID string `json:"id"`
}

// named is a reference to another resource with its name.
type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// url makes the absolute URL of a path below the orchestrator's root.
func (a *API) url(r *http.Request, format string, args ...any) string {
	return a.base(r) + root + fmt.Sprintf(format, args...)
}

// base is the server as clients name it.
func (a *API) base(r *http.Request) string {
	if a.cfg.BaseURL != "" {
		return a.cfg.BaseURL
	}
	scheme := "https"
	if r.TLS == nil && r.Header.Get("X-Forwarded-Proto") != "https" {
		scheme = "http"
	}
	host := r.Host
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(interface{ String() string }); ok && host == "" {
		host = addr.String() // HTTP/1.0
	}
	return scheme + "://" + host
}
