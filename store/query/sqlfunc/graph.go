package sqlfunc

import (
	"strings"
	"time"
)

// run is what a report says about a resource.
type run struct {
	typ, title, skipped, file, line, events doc
	used                                    bool // the catalog has it too
}

// ResourceGraph joins the resources of a catalog, as the entity catalogs shows
// them, with those of a report, as they were sent: every resource of either,
// with what both say about it. A resource that the report leaves out is
// unchanged; of one that only the report has, what a catalog says is null.
// Either may be "".
func ResourceGraph(catalog, report string) string {
	runs := map[[2]string]*run{}
	var order []*run
	each(report, func(_, r doc) bool {
		x := readRun(r)
		key := [2]string{unquote(x.typ), unquote(x.title)}
		if runs[key] == nil {
			runs[key] = x
			order = append(order, x)
		}
		return true
	})
	var b strings.Builder
	b.Grow(len(catalog) + len(report))
	part := func(text ...string) {
		for _, s := range text {
			b.WriteString(s)
		}
	}
	lead := "["
	each(catalog, func(_, c doc) bool {
		x := runs[identity(c)]
		if x == nil {
			x = &run{skipped: "false", events: "[]"}
		}
		x.used = true
		part(lead, strings.TrimSuffix(c, "}"), `,"skipped":`, x.skipped, `,"events":`, x.events, "}")
		lead = ","
		return true
	})
	for _, x := range order {
		if !x.used {
			part(lead, `{"resource":null,"type":`, x.typ, `,"title":`, x.title, `,"tags":null,"exported":null,"file":`, x.file, `,"line":`, x.line,
				`,"parameters":null,"skipped":`, x.skipped, `,"events":`, x.events, "}")
			lead = ","
		}
	}
	if lead == "[" {
		return "[]"
	}
	return b.String() + "]"
}

// identity is the type and the title of a resource of a catalog.
func identity(resource doc) (id [2]string) {
	each(resource, func(k, v doc) bool {
		switch k {
		case `"type"`:
			id[0] = unquote(v)
		case `"title"`:
			id[1] = unquote(v)
			return id[0] == ""
		}
		return true
	})
	return id
}

func readRun(resource doc) *run {
	x := &run{typ: "null", title: "null", skipped: "false", file: "null", line: "null", events: "[]"}
	each(resource, func(k, v doc) bool {
		switch k {
		case `"resource_type"`:
			x.typ = v
		case `"resource_title"`:
			x.title = v
		case `"skipped"`:
			x.skipped = v
		case `"file"`:
			x.file = v
		case `"line"`:
			x.line = v
		case `"events"`:
			x.events = runEvents(v)
		}
		return true
	})
	return x
}

// runEvents are the events of a resource as resource graphs show them.
func runEvents(list doc) string {
	var b strings.Builder
	lead := "["
	each(list, func(_, e doc) bool {
		said := map[string]doc{}
		each(e, func(k, v doc) bool {
			said[k] = v
			return true
		})
		for _, k := range [...]string{`"timestamp"`, `"property"`, `"new_value"`, `"old_value"`, `"status"`, `"message"`} {
			v, ok := said[k]
			if !ok {
				v = "null"
			} else if k == `"timestamp"` {
				v = inUTC(v)
			}
			if k == `"timestamp"` {
				b.WriteString(lead + "{")
				lead = ","
			} else {
				b.WriteByte(',')
			}
			b.WriteString(k + ":" + v)
		}
		b.WriteByte('}')
		return true
	})
	if lead == "[" {
		return "[]"
	}
	return b.String() + "]"
}

// inUTC writes a time as every answer has it.
func inUTC(text doc) string {
	t, err := time.Parse(time.RFC3339, unquote(text))
	if err != nil {
		return text
	}
	return t.UTC().Format(`"2006-01-02T15:04:05.000Z"`)
}
