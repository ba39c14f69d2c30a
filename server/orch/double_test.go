package orch_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// The types below are a client's: every key of every response, with the type
// that a client may rely on (orchestrator.md §3 and traps 11 to 15). They are
// written from the specification, not from the server's structs.

type clientRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type clientID struct {
	ID string `json:"id"`
}

type clientAccepted struct {
	Job clientRef `json:"job"`
}

type clientStopped struct {
	Job struct {
		ID    string         `json:"id"`
		Name  string         `json:"name"`
		Nodes map[string]int `json:"nodes"`
	} `json:"job"`
}

type clientError struct {
	Kind    string         `json:"kind"`
	Msg     string         `json:"msg"`
	Details map[string]any `json:"details"`
}

type clientSpan struct {
	State     string  `json:"state"`
	EnterTime string  `json:"enter_time"`
	ExitTime  *string `json:"exit_time"`
}

type clientJob struct {
	ID                string         `json:"id"`
	Name              string         `json:"name"`
	State             string         `json:"state"`
	Command           string         `json:"command"`
	Type              string         `json:"type"`
	Options           clientOptions  `json:"options"`
	Owner             clientOwner    `json:"owner"`
	Description       string         `json:"description"`
	Timestamp         string         `json:"timestamp"`
	CreatedTimestamp  string         `json:"created_timestamp"`
	StartedTimestamp  *string        `json:"started_timestamp"`
	FinishedTimestamp *string        `json:"finished_timestamp"`
	Duration          *float64       `json:"duration"`
	Environment       clientName     `json:"environment"`
	NodeCount         int            `json:"node_count"`
	NodeStates        map[string]int `json:"node_states"`
	Status            []clientSpan   `json:"status"`
	Nodes             clientID       `json:"nodes"`
	Report            clientID       `json:"report"`
	Events            clientID       `json:"events"`
	Userdata          map[string]any `json:"userdata"`
}

type clientName struct {
	Name string `json:"name"`
}

type clientOptions struct {
	Environment          string         `json:"environment"`
	EnforceEnvironment   bool           `json:"enforce_environment"`
	Scope                clientScope    `json:"scope"`
	Target               *string        `json:"target"`
	Noop                 bool           `json:"noop"`
	NoNoop               bool           `json:"no_noop"`
	Concurrency          any            `json:"concurrency"`
	Description          string         `json:"description"`
	Debug                bool           `json:"debug"`
	Trace                bool           `json:"trace"`
	Evaltrace            bool           `json:"evaltrace"`
	Filetimeout          *int           `json:"filetimeout"`
	HTTPConnectTimeout   *int           `json:"http_connect_timeout"`
	HTTPKeepaliveTimeout *int           `json:"http_keepalive_timeout"`
	HTTPReadTimeout      *int           `json:"http_read_timeout"`
	Ordering             *string        `json:"ordering"`
	Tags                 *string        `json:"tags"`
	SkipTags             *string        `json:"skip_tags"`
	UseCachedCatalog     *bool          `json:"use_cached_catalog"`
	Usecacheonfailure    *bool          `json:"usecacheonfailure"`
	Timeout              *int           `json:"timeout"`
	Userdata             map[string]any `json:"userdata"`
}

type clientScope struct {
	Nodes            []string `json:"nodes,omitempty"`
	Query            any      `json:"query,omitempty"`
	NodeGroup        string   `json:"node_group,omitempty"`
	Application      string   `json:"application,omitempty"`
	WholeEnvironment bool     `json:"whole_environment,omitempty"`
}

type clientOwner struct {
	ID               string  `json:"id"`
	Login            string  `json:"login"`
	Email            string  `json:"email"`
	DisplayName      string  `json:"display_name"`
	IsSuperuser      bool    `json:"is_superuser"`
	IsRemote         bool    `json:"is_remote"`
	IsRevoked        bool    `json:"is_revoked"`
	IsGroup          bool    `json:"is_group"`
	LastLogin        *string `json:"last_login"`
	RoleIDs          []int   `json:"role_ids"`
	InheritedRoleIDs []int   `json:"inherited_role_ids"`
	GroupIDs         []any   `json:"group_ids"`
}

type clientPagination struct {
	Limit   *int   `json:"limit"`
	Offset  int    `json:"offset"`
	Order   string `json:"order"`
	OrderBy string `json:"order_by"`
	Total   int    `json:"total"`
	Type    string `json:"type,omitempty"`
}

type clientJobs struct {
	Items      []clientJob      `json:"items"`
	Pagination clientPagination `json:"pagination"`
}

type clientNext struct {
	ID    string `json:"id"`
	Event string `json:"event"` // a string: trap 12
}

type clientNode struct {
	Name            string         `json:"name"`
	State           string         `json:"state"`
	Transport       string         `json:"transport"`
	Timestamp       string         `json:"timestamp"`
	StartTimestamp  *string        `json:"start_timestamp"`
	FinishTimestamp *string        `json:"finish_timestamp"`
	Duration        *float64       `json:"duration"`
	TransactionUUID *string        `json:"transaction_uuid"`
	LatestEventID   int            `json:"latest-event-id"` // an integer: trap 12
	Message         string         `json:"message"`
	Details         clientDetails  `json:"details"`
	Result          map[string]any `json:"result"`
}

type clientDetails struct {
	Message   string          `json:"message,omitempty"`
	RunTime   *int            `json:"run-time,omitempty"`
	ReportURL string          `json:"report-url,omitempty"`
	Metrics   *clientMetrics  `json:"metrics,omitempty"`
	Detail    *map[string]any `json:"detail,omitempty"`
}

type clientMetrics struct {
	Total            int `json:"total"`
	Changed          int `json:"changed"`
	Failed           int `json:"failed"`
	Skipped          int `json:"skipped"`
	Restarted        int `json:"restarted"`
	FailedToRestart  int `json:"failed_to_restart"`
	Scheduled        int `json:"scheduled"`
	OutOfSync        int `json:"out_of_sync"`
	CorrectiveChange int `json:"corrective_change"`
}

type clientNodes struct {
	NextEvents clientNext       `json:"next-events"`
	Items      []clientNode     `json:"items"`
	Pagination clientPagination `json:"pagination"`
}

type clientEvent struct {
	ID        string             `json:"id"` // a string: trap 12
	Type      string             `json:"type"`
	Timestamp string             `json:"timestamp"`
	Details   clientEventDetails `json:"details"`
	Message   string             `json:"message"`
}

type clientEventDetails struct {
	Node   string          `json:"node,omitempty"`
	Detail *map[string]any `json:"detail,omitempty"`
	State  string          `json:"state,omitempty"`
	Job    string          `json:"job,omitempty"`
}

type clientEvents struct {
	NextEvents clientNext    `json:"next-events"`
	Items      []clientEvent `json:"items"`
}

type clientReport struct {
	Items []struct {
		Node      string        `json:"node"`
		State     string        `json:"state"`
		Timestamp string        `json:"timestamp"`
		Events    []clientEvent `json:"events"`
	} `json:"items"`
}

type clientConnection struct {
	Name      string `json:"name"`
	Connected bool   `json:"connected"`
	Broker    string `json:"broker,omitempty"`
	Timestamp string `json:"timestamp,omitempty"`
}

type clientInventory struct {
	Items []clientConnection `json:"items"`
}

type clientEnvironment struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	Applications clientID        `json:"applications"`
	Instances    clientID        `json:"instances"`
	Settings     *map[string]any `json:"settings"`
}

type clientEnvironments struct {
	Items []clientEnvironment `json:"items"`
}

type clientApplications struct {
	Items []struct {
		Name       string         `json:"name"`
		Kind       string         `json:"kind"`
		Parameters map[string]any `json:"parameters"`
		File       *string        `json:"file"`
		Line       *int           `json:"line"`
	} `json:"items"`
	Instances clientID `json:"instances"`
}

type clientInstances struct {
	Items []struct {
		Type       string `json:"type"`
		Title      string `json:"title"`
		Components []struct {
			Type     string   `json:"type"`
			Title    string   `json:"title"`
			Produces []string `json:"produces"`
			Consumes []string `json:"consumes"`
			Node     string   `json:"node"`
		} `json:"components"`
	} `json:"items"`
}

type clientRoot struct {
	Info struct {
		Title       string `json:"title"`
		Description string `json:"description"`
		Warning     string `json:"warning"`
		Version     string `json:"version"`
		License     struct {
			Name string `json:"name"`
			URL  string `json:"url"`
		} `json:"license"`
	} `json:"info"`
	Status      clientRef   `json:"status"`
	Collections []clientRef `json:"collections"`
	Commands    []clientRef `json:"commands"`
}

// strict decodes a response: a key that the client does not know, a key that
// is missing, and a value of another type all fail.
func strict[T any](t *testing.T, body []byte) T {
	t.Helper()
	var v T
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&v), "%s", body)
	back, err := json.Marshal(v)
	require.NoError(t, err)
	require.JSONEq(t, string(body), string(back), "a key is missing or has an unexpected form")
	return v
}

// TestStrict: the double is as strict as it says.
func TestStrict(t *testing.T) {
	good := `{"job":{"id":"x","name":"1"}}`
	require.Equal(t, "1", strict[clientAccepted](t, []byte(good)).Job.Name)
	for _, bad := range []string{`{"job":{"id":"x"}}`, `{"job":{"id":"x","name":1}}`, `{"job":{"id":"x","name":"1","more":1}}`} {
		var v clientAccepted
		dec := json.NewDecoder(bytes.NewReader([]byte(bad)))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&v); err != nil {
			continue
		}
		back, err := json.Marshal(v)
		require.NoError(t, err)
		require.NotEqual(t, bad, string(back))
	}
}
