package pdb

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/mux"
	"github.com/stretchr/testify/require"
)

// ask serves one request by a handler behind a route, and returns the error as
// server would see it.
func ask(t *testing.T, route, method, target, body string, h func(http.ResponseWriter, *http.Request) error) (*httptest.ResponseRecorder, *Problem) {
	t.Helper()
	var problem *Problem
	m := mux.NewRouter().UseEncodedPath().SkipClean(true)
	m.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil && !errors.As(err, &problem) {
			problem = Textf(500, "%s", err)
		}
	})
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(method, target, stringsReader(body)))
	return w, problem
}

func TestStatusAnswers(t *testing.T) {
	down := errors.New("database is locked")
	const running = `{"service_version":"8.8.2","service_status_version":1,"detail_level":"info","state":"running",` +
		`"status":{"maintenance_mode?":false,"queue_depth":3,"read_db_up?":true,"write_db_up?":true,"write_dbs_up?":true,` +
		`"write_db":{"default":{"up?":true}}},"active_alerts":[],"service_name":"puppetdb-status"}`
	up := func(context.Context) error { return nil }
	tests := []struct {
		name        string
		cfg         StatusConfig
		state       string
		code        int
		read, write bool
		alerts      int
	}{
		{"all is well", StatusConfig{ReadDB: up, WriteDB: up}, "running", 200, true, true, 0},
		{"nobody to ask", StatusConfig{}, "running", 200, true, true, 0},
		{"no reader", StatusConfig{ReadDB: func(context.Context) error { return down }}, "error", 503, false, true, 1},
		{"no writer", StatusConfig{WriteDB: func(context.Context) error { return down }}, "error", 503, true, false, 1},
		{"an alert", StatusConfig{Alerts: func() []string { return []string{"the disk is full"} }}, "running", 200, true, true, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.QueueDepth = func() int { return 3 }
			s := NewStatus(tt.cfg)
			w, p := ask(t, "/status/v1/services/{service}", "GET", "/status/v1/services/puppetdb-status", "", s.Service)
			require.Nil(t, p)
			require.Equal(t, tt.code, w.Code)
			if tt.code == 200 && tt.alerts == 0 {
				require.Equal(t, running, w.Body.String())
			}
			var doc struct {
				State  string
				Status map[string]any
				Alerts []alert `json:"active_alerts"`
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &doc))
			require.Equal(t, tt.state, doc.State)
			require.Equal(t, tt.read, doc.Status["read_db_up?"])
			require.Equal(t, tt.write, doc.Status["write_db_up?"])
			require.Len(t, doc.Alerts, tt.alerts)
			w, _ = ask(t, "/x", "GET", "/x", "", s.Simple)
			require.Equal(t, tt.state, w.Body.String())
			require.Equal(t, tt.code, w.Code)
			w, _ = ask(t, "/x", "GET", "/x", "", s.Services)
			require.Equal(t, tt.code, w.Code)
			require.Contains(t, w.Body.String(), `"status-service":{"service_version":"1.1.1"`)
		})
	}
}

func TestStatusParameters(t *testing.T) {
	s := NewStatus(StatusConfig{})
	const one, all = "/status/v1/services/{service}", "/status/v1/services"
	tests := []struct{ route, target, kind, message string }{
		{all, all + "?level=bogus", "data-invalid", "Invalid level: :bogus"},
		{all, all + "?level=DEBUG", "data-invalid", "Invalid level: :DEBUG"},
		{all, all + "?timeout=x", "data-invalid", "Invalid timeout. Should be an integer but was x"},
		{all, all + "?timeout=1.5", "data-invalid", "Invalid timeout. Should be an integer but was 1.5"},
		{all, all + "?timeout=0", "data-invalid", "Invalid timeout. Timeout must be greater than zero but was 0"},
		{one, all + "/puppetdb-status?service_status_version=x", "data-invalid", "Invalid service_status_version. Should be an integer but was x"},
		{one, all + "/puppetdb-status?service_status_version=2", "service-status-version-not-found", "No status function with version 2 found for service puppetdb-status"},
		{one, all + "/nosuch", "service-not-found", "No status information found for service nosuch"},
	}
	for _, tt := range tests {
		h := s.Services
		if tt.route == one {
			h = s.Service
		}
		_, p := ask(t, tt.route, "GET", tt.target, "", h)
		require.NotNil(t, p, tt.target)
		require.Equal(t, [2]string{tt.kind, tt.message}, [2]string{p.Kind, p.Message})
	}
	_, p := ask(t, "/s/{service}", "GET", "/s/nosuch", "", s.SimpleService)
	require.Equal(t, "not found: nosuch", p.Message)
	w, _ := ask(t, "/s/{service}", "GET", "/s/status-service", "", s.SimpleService)
	require.Equal(t, "running", w.Body.String())
	w, p = ask(t, one, "GET", all+"/status-service?level=debug&timeout=5&service_status_version=1", "", s.Service)
	require.Nil(t, p)
	require.Contains(t, w.Body.String(), `"heap-memory"`)
	w, _ = ask(t, all, "GET", all+"?level=critical&bogus=1", "", s.Services)
	require.Contains(t, w.Body.String(), `"detail_level":"critical"`)
}

func TestStatusDoesNotWaitForADeadDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		s := NewStatus(StatusConfig{WriteDB: func(context.Context) error { <-stuck; return nil }})
		start := time.Now()
		w, _ := ask(t, "/x", "GET", "/x", "", s.Simple)
		require.Equal(t, "error", w.Body.String())
		require.Equal(t, time.Second, time.Since(start))
		close(stuck)
	})
}

func TestMeta(t *testing.T) {
	m := NewMeta("", func() time.Time { return time.Date(2024, 1, 1, 1, 0, 0, 5_999_999, time.FixedZone("", 3600)) })
	w, p := ask(t, "/x", "DELETE", "/x", "", m.ServerTime)
	require.Nil(t, p)
	require.Equal(t, "{\n  \"server_time\" : \"2024-01-01T00:00:00.005Z\"\n}", w.Body.String())
	w, _ = ask(t, "/x", "GET", "/x", "", m.Version)
	require.Equal(t, "{\n  \"version\" : \"8.8.2\"\n}", w.Body.String())
	_, p = ask(t, "/x", "GET", "/x", "", m.Latest)
	require.Equal(t, &Problem{Status: 404, Message: "Could not find version"}, p)
	_, p = ask(t, "/x", "GET", "/x?x=1", "", m.Version)
	require.Equal(t, &Problem{Status: 400, Message: "Unsupported query parameter 'x'"}, p)
}
