package wireformat

import "strings"

// oldEvent is an event of versions 3 to 5: resource and event in one.
type oldEvent struct {
	Event
	path string // containment path as one text, to compare
}

// oldEvent reads one element of resource_events.
func (r *reportReader) oldEvent() {
	const status, timestamp, kind, title, property, message, newValue, oldValue, file, line, path = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
	var e oldEvent
	shape := fields{
		names: []string{"status", "timestamp", "resource_type", "resource_title", "property", "message",
			"new_value", "old_value", "file", "line", "containment_path"},
		required: 1<<11 - 1,
		read: func(field int) {
			switch field {
			case status:
				e.Status = r.shared()
			case timestamp:
				e.Timestamp = r.strictTime()
			case kind:
				e.ResourceType = r.shared()
			case title:
				e.ResourceTitle = r.text()
			case property:
				e.Property = r.optionalText()
			case message:
				e.Message = r.optionalText()
			case newValue:
				e.NewValue = r.value()
			case oldValue:
				e.OldValue = r.value()
			case file:
				e.File = r.optionalText()
			case line:
				e.Line = r.optionalLine()
			case path:
				e.ContainmentPath = r.containmentPath()
			}
		},
	}
	if r.version <= 4 {
		shape.alias = func(key []byte) []byte { return []byte(strings.ReplaceAll(string(key), "-", "_")) }
	}
	if r.record(&shape) {
		e.path = strings.Join(e.ContainmentPath, "\x00")
		r.old = append(r.old, e)
	}
}

// group turns resource_events into resources with events, as version 6 has them.
func (r *reportReader) group() {
	type resource struct {
		file, kind, title, path string
		line, timestamp         int64
		skipped                 bool
	}
	var order []resource
	groups := map[resource][]Event{}
	for _, e := range r.old {
		key := resource{kind: e.ResourceType, title: e.ResourceTitle, path: e.path,
			timestamp: e.Timestamp.UnixMilli(), skipped: e.Status == "skipped"}
		if e.File != nil {
			key.file = "+" + *e.File
		}
		if e.Line != nil {
			key.line = *e.Line + 1
		}
		if _, known := groups[key]; !known {
			order = append(order, key)
		}
		groups[key] = append(groups[key], e.Event)
	}
	resources := []byte{'['}
	for i, key := range order {
		events := groups[key]
		common := events[0]
		if i > 0 {
			resources = append(resources, ',')
		}
		resources = appendOldResource(resources, common, key.skipped, events)
		if key.skipped {
			common = Event{Timestamp: common.Timestamp, ResourceType: common.ResourceType, ResourceTitle: common.ResourceTitle,
				File: common.File, Line: common.Line, ContainmentPath: common.ContainmentPath}
		}
		r.add(common, key.skipped, events)
	}
	r.Resources = append(resources, ']')
}
