package broker_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/broker"
	"dalang/orchestrator/broker/brokertest"
	"dalang/orchestrator/pcp"
)

func uris(t *testing.T, m *pcp.Message) []string {
	t.Helper()
	var data struct{ URIs []string }
	require.NoError(t, json.Unmarshal(m.Data, &data))
	require.NotNil(t, data.URIs)
	return data.URIs
}

// updates reads inventory_updates until as many changes came as are wanted.
func updates(t *testing.T, c *brokertest.Client, wanted int) (all []string) {
	t.Helper()
	for len(all) < wanted {
		m := c.Receive()
		require.Equal(t, pcp.InventoryUpdate, m.Type)
		require.Equal(t, pcp.Server, m.Sender)
		var data struct {
			Changes []struct {
				Client string
				Change int
			}
		}
		require.NoError(t, json.Unmarshal(m.Data, &data))
		require.NotEmpty(t, data.Changes)
		for _, change := range data.Changes {
			all = append(all, fmt.Sprintf("%+d %s", change.Change, change.Client))
		}
	}
	return all
}

func TestInventory(t *testing.T) {
	s, l := start(t, broker.Config{Controllers: []string{"boss", "old"}})
	boss := s.Dial(t, "/pcp2/tool", "boss")
	old := s.Dial(t, "/pcp/tool", "old")
	for _, name := range []string{"b", "c", "a"} {
		s.Dial(t, "/pcp2/agent", name)
	}
	s.Dial(t, "/pcp2/other", "a")
	for range 6 {
		next(t, l.presence)
	}
	for _, c := range []*brokertest.Client{boss, old} {
		for _, q := range []struct {
			query string
			want  []string
		}{
			{`["pcp://*/agent"]`, []string{"pcp://a/agent", "pcp://b/agent", "pcp://c/agent"}},
			{`["pcp://a/*"]`, []string{"pcp://a/agent", "pcp://a/other"}},
			{`["pcp://c/agent","pcp://*/other","pcp://c/agent","pcp://z/agent"]`, []string{"pcp://a/other", "pcp://c/agent"}},
			{`["pcp://*/*"]`, []string{"pcp://a/agent", "pcp://a/other", "pcp://b/agent", "pcp://boss/tool", "pcp://c/agent", "pcp://old/tool"}},
			{`["pcp://z/agent"]`, []string{}},
			{`["pcp://a*/agent"]`, []string{}}, // a * is a whole part
			{`[]`, []string{}},
		} {
			m := says(t, pcp.InventoryRequest, pcp.Server, json.RawMessage(`{"query":`+q.query+`}`))
			m.Sender = c.URI
			c.Send(m)
			answer := c.Receive()
			require.Equal(t, pcp.InventoryResponse, answer.Type, "%s", answer.Data)
			require.Equal(t, m.ID, answer.InReplyTo)
			require.Equal(t, q.want, uris(t, answer), q.query)
		}
		for _, wrong := range []string{`{}`, `{"query":"pcp://*/agent"}`, `{"query":[1]}`, `{"query":["agent"]}`, `[]`, `{"query":[],"subscribe":1}`, `null`} {
			m := says(t, pcp.InventoryRequest, pcp.Server, json.RawMessage(wrong))
			m.Sender = c.URI
			c.Send(m)
			answer := c.Receive()
			require.Equal(t, pcp.ErrorMessage, answer.Type, wrong)
			require.Contains(t, answer.ErrorText(), "inventory_request")
		}
	}
}

func TestSubscription(t *testing.T) {
	s, _ := start(t, broker.Config{Controllers: []string{"boss"}})
	boss := s.Dial(t, "/pcp2/tool", "boss")
	ask := func(data string) []string {
		boss.Send(says(t, pcp.InventoryRequest, pcp.Server, json.RawMessage(data)))
		return uris(t, boss.Receive())
	}
	first := s.Dial(t, "/pcp2/agent", "a")
	eventually(t, "two peers", func() bool { return len(s.Inventory()) == 2 })
	require.Equal(t, []string{"pcp://a/agent"}, ask(`{"query":["pcp://*/agent"],"subscribe":true}`))
	b := s.Dial(t, "/pcp/agent", "b")
	s.Dial(t, "/pcp2/unwanted", "b")
	require.Equal(t, []string{"+1 pcp://b/agent"}, updates(t, boss, 1))
	s.Dial(t, "/pcp2/agent", "a") // takes a place: nobody came or went
	require.EqualValues(t, 4000, first.Closed())
	require.NoError(t, b.Conn.Close(1000, ""))
	require.Equal(t, []string{"-1 pcp://b/agent"}, updates(t, boss, 1))
	// A new question replaces the subscription.
	require.Equal(t, []string{"pcp://b/unwanted"}, ask(`{"query":["pcp://*/unwanted"],"subscribe":true}`))
	s.Dial(t, "/pcp2/agent", "c")
	s.Dial(t, "/pcp2/unwanted", "c")
	require.Equal(t, []string{"+1 pcp://c/unwanted"}, updates(t, boss, 1))
	// One without subscribe ends it: what comes next is an answer again.
	require.Len(t, ask(`{"query":["pcp://*/unwanted"]}`), 2)
	s.Dial(t, "/pcp2/unwanted", "d")
	eventually(t, "six peers", func() bool { return len(s.Inventory()) == 6 })
	require.Len(t, ask(`{"query":["pcp://*/unwanted"]}`), 3)
}
