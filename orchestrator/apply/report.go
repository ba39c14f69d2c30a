package apply

import (
	"encoding/json"
	"slices"
	"strings"
)

// Limits of a report.
const (
	maxText      = 2 << 10   // bytes of one text
	maxLogs      = 64 << 10  // bytes of all logs, as JSON
	maxResources = 160 << 10 // bytes of all resources, as JSON
	maxMetrics   = 64 << 10  // bytes of the metrics, as JSON; they are there as a whole or not
)

// Shorten makes a report fit to be sent and stored: what stands in doc.go is
// kept of it.
func Shorten(report map[string]any) map[string]any {
	kept := map[string]any{}
	for _, key := range []string{"host", "time", "configuration_version", "transaction_uuid", "report_format", "puppet_version", "status",
		"transaction_completed", "noop", "noop_pending", "environment", "corrective_change"} {
		switch v := report[key].(type) {
		case []any, map[string]any: // Puppet's is none
		default:
			if _, there := report[key]; there {
				kept[key] = clipped(v)
			}
		}
	}
	if given, is := report["metrics"].(map[string]any); is {
		if metrics := clipped(given); size(metrics) <= maxMetrics {
			kept["metrics"] = metrics
		}
	}
	left := map[string]any{"logs": 0, "resource_statuses": 0}
	count := func(of string) int { // what was left out where it was sent
		before, _ := report["left_out"].(map[string]any)
		n, _ := number(before[of])
		return n
	}
	if given, is := report["resource_statuses"].(map[string]any); is {
		statuses, out := resources(given)
		kept["resource_statuses"], left["resource_statuses"] = statuses, out+count("resource_statuses")
	}
	if given, is := report["logs"].([]any); is {
		logs, out := logs(given)
		kept["logs"], left["logs"] = logs, out+count("logs")
	}
	if left["resource_statuses"] != 0 || left["logs"] != 0 {
		kept["left_out"] = left
	}
	return kept
}

// size is how large a value is as JSON. Values are what JSON can hold.
func size(v any) int {
	text, err := json.Marshal(v)
	if err != nil {
		return maxResources // and so it is left out
	}
	return len(text)
}

// resources keeps those that failed, then those that changed or would, then others.
func resources(given map[string]any) (kept map[string]any, out int) {
	rank := func(ref string) int {
		status, _ := given[ref].(map[string]any)
		switch {
		case status["failed"] == true || status["failed_to_restart"] == true:
			return 0
		case status["changed"] == true || status["out_of_sync"] == true || status["skipped"] == true:
			return 1
		}
		return 2
	}
	kept = map[string]any{}
	refs := sortedKeys(given)
	slices.SortStableFunc(refs, func(a, b string) int { return rank(a) - rank(b) })
	left := maxResources
	for _, ref := range refs {
		status := clipped(given[ref])
		if of, is := status.(map[string]any); is {
			delete(of, "tags")
		}
		n := size(status) + len(ref)
		if left -= n; left < 0 {
			return kept, len(refs) - len(kept)
		}
		kept[ref] = status
	}
	return kept, 0
}

// logs keeps errors, then what there is room for, in their order.
func logs(given []any) (kept []any, out int) {
	left := maxLogs
	keep := make([]any, len(given))
	for _, errors := range []bool{true, false} {
		for i := range given {
			if failure(given[i]) != errors {
				continue
			}
			entry := clipped(given[i])
			if of, is := entry.(map[string]any); is {
				delete(of, "tags")
			}
			n := size(entry)
			if n > left {
				continue
			}
			left -= n
			keep[i] = entry
		}
	}
	kept = slices.DeleteFunc(keep, func(entry any) bool { return entry == nil })
	if kept == nil {
		kept = []any{}
	}
	return kept, len(given) - len(kept)
}

// failure tells whether a log entry is of an error.
func failure(entry any) bool {
	of, _ := entry.(map[string]any)
	level, _ := of["level"].(string)
	return slices.Contains([]string{"err", "alert", "crit", "emerg"}, strings.TrimPrefix(level, ":"))
}

// clipped is a copy of a value without long texts.
func clipped(v any) any {
	switch v := v.(type) {
	case string:
		return clip(v)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = clipped(e)
		}
		return list
	case map[string]any:
		hash := make(map[string]any, len(v))
		for k, e := range v {
			hash[k] = clipped(e)
		}
		return hash
	}
	return v
}

func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

func sortedKeys(hash map[string]any) []string {
	keys := make([]string, 0, len(hash))
	for k := range hash {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
