package query_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/store/query"
	"dalang/wireformat"
)

// TestDeepValues: what is nested as deep as commands may be spoils no query,
// not those about others either.
func TestDeepValues(t *testing.T) {
	e, st := open(t, nil)
	deep := strings.Repeat(`{"a":[`, 990) + "1" + strings.Repeat("]}", 990)
	const head = `"environment":"e","producer":null,"producer_timestamp":"2026-04-01T00:00:00Z"`
	for _, c := range []struct {
		cmd     wireformat.Command
		version int
		body    string
	}{
		{wireformat.ReplaceFacts, 5, `{"certname":"deep",` + head + `,"values":{"f":` + deep + `}}`},
		{wireformat.ReplaceFacts, 5, `{"certname":"flat",` + head + `,"values":{"f":{"a":[2]}}}`},
		{wireformat.ReplaceCatalog, 9, `{"certname":"deep",` + head + `,"version":"1","transaction_uuid":null,"catalog_uuid":null,"code_id":null,"edges":[],
			"resources":[{"type":"T","title":"t","tags":["a"],"exported":false,"parameters":{"p":` + deep + `}}]}`},
		{wireformat.StoreReport, 8, `{"certname":"deep",` + head + `,"puppet_version":"8","report_format":12,"configuration_version":"1",
			"start_time":"2026-04-01T00:00:00Z","end_time":"2026-04-01T00:00:00Z","transaction_uuid":null,"catalog_uuid":null,"code_id":null,"cached_catalog_status":null,
			"status":"changed","noop":false,"noop_pending":false,"corrective_change":null,"metrics":[],"logs":[],"resources":[
			{"skipped":false,"timestamp":"2026-04-01T00:00:00Z","resource_type":"T","resource_title":"t","file":null,"line":null,"containment_path":[],
			"corrective_change":false,"events":[{"status":"success","timestamp":"2026-04-01T00:00:00Z","name":null,"property":"p","new_value":` + deep + `,
			"old_value":null,"corrective_change":false,"message":null}]}]}`},
	} {
		p, err := wireformat.Decode(c.cmd, c.version, time.Now(), []byte(c.body))
		require.NoError(t, err)
		load(t, st, p)
	}
	for entity, filter := range map[string]string{
		"facts": `["=","value",1]`, "factsets": `["~","certname","."]`, "fact_contents": `["~>","path",["f","a",".*"]]`, "fact_paths": `["~>","path",["f",".*"]]`,
		"inventory": `["=","facts.f.a[0]",2]`, "resources": `["=",["parameter","p"],"x"]`, "catalogs": `["~","certname","."]`,
		"events": `["=","new_value","x"]`, "reports": `["~","certname","."]`, "nodes": `["in","certname",["extract","certname",["select_inventory",["=","facts.f.a[0]",2]]]]`,
	} {
		for _, text := range []string{"", filter} {
			req := query.Request{Entity: entity}
			if text != "" {
				req.Query = parse(t, text)
			}
			var out rows
			err := e.Run(t.Context(), req, &out)
			require.NoError(t, err, "%s %s", entity, text)
			if text == "" {
				require.NotEmpty(t, out.list, entity)
			}
		}
	}
}
