package pdb

import (
	"fmt"
	"hash/fnv"
)

// meterDoc is one meter of upstream's dashboard.
type meterDoc struct {
	Description string   `json:"description"`
	Addendum    string   `json:"addendum"`
	MBean       string   `json:"mbean"`
	Format      string   `json:"format"`
	ClampToZero *float64 `json:"clampToZero,omitempty"`
	Value       any      `json:"value"`
	ID          string   `json:"id"`
}

// dashboard reads the meters that upstream's dashboard shows, in its order.
func dashboard(beans []bean) []meterDoc {
	clamp := 0.001
	const ms = 0.001 // milliseconds shown as seconds
	meters := []struct {
		description, addendum, mbean, format string
		path                                 []string
		scale                                float64
		clamp                                *float64
	}{
		{"JVM Heap", "bytes", "java.lang:type=Memory", ".3s", []string{"HeapMemoryUsage", "used"}, 1, nil},
		{"Active Nodes", "in the population", domainPopulation + ":name=num-active-nodes", "", []string{"Value"}, 1, nil},
		{"Inactive Nodes", "in the population", domainPopulation + ":name=num-inactive-nodes", "", []string{"Value"}, 1, nil},
		{"Resources", "in the population", domainPopulation + ":name=num-resources", "", []string{"Value"}, 1, nil},
		{"Resource duplication", "% of resources stored", domainPopulation + ":name=pct-resource-dupes", ".1%", []string{"Value"}, 1, nil},
		{"Catalog duplication", "% of catalogs encountered", domainStorage + ":name=duplicate-pct", ".1%", []string{"Value"}, 1, nil},
		{"Command Queue", "depth", domainMQ + ":name=global.depth", "s", []string{"Count"}, 1, nil},
		{"Command Processing", "sec/command", domainMQ + ":name=global.processing-time", ".3s", []string{"50thPercentile"}, ms, &clamp},
		{"Command Processing", "command/sec", domainMQ + ":name=global.processed", ".3s", []string{"FiveMinuteRate"}, 1, nil},
		{"Processed", "since startup", domainMQ + ":name=global.processed", "", []string{"Count"}, 1, nil},
		{"Retried", "since startup", domainMQ + ":name=global.retried", "", []string{"Count"}, 1, nil},
		{"Discarded", "since startup", domainMQ + ":name=global.discarded", "", []string{"Count"}, 1, nil},
		{"Rejected", "since startup", domainMQ + ":name=global.fatal", "", []string{"Count"}, 1, nil},
		{"Enqueueing", "service time seconds", domainHTTP + ":name=/pdb/cmd/v1.service-time", ".3s", []string{"50thPercentile"}, ms, nil},
		{"Command Persistence", "Message persistence time milliseconds", domainMQ + ":name=global.message-persistence-time", ".2s",
			[]string{"FiveMinuteRate"}, 1, nil},
		{"Collection Queries", "service time seconds", domainHTTP + ":name=/pdb/query/v4/resources.service-time", ".3s",
			[]string{"50thPercentile"}, ms, nil},
		{"DB Compaction", "round trip time seconds", domainStorage + ":name=gc-time", ".3s", []string{"50thPercentile"}, ms, nil},
		{"DLO Size on Disk", "bytes", domainDLO + ":name=global.filesize", ".3s", []string{"Value"}, 1, nil},
		{"Discarded Messages", "to be reviewed", domainDLO + ":name=global.messages", "", []string{"Value"}, 1, nil},
	}
	values := map[string]any{}
	for _, b := range beans {
		values[b.name.String()] = map[string]any(b.attrs)
	}
	docs := make([]meterDoc, len(meters))
	for i, m := range meters {
		v := walk(values[m.mbean], m.path)
		if f, ok := v.(double); ok {
			v = f * double(m.scale)
		}
		id := fnv.New32a()
		_, _ = fmt.Fprint(id, m.description, m.addendum, m.mbean)
		docs[i] = meterDoc{m.description, m.addendum, m.mbean, m.format, m.clamp, v, fmt.Sprintf("%x", id.Sum32())}
	}
	return docs
}
