package wireformat

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// upgradeResources brings the resources of versions 6 and 7, in canonical form,
// to version 8: resources and events have no corrective change, and a resource
// without events has an empty list. nil is the empty list. Spec §3.3.
func upgradeResources(v JSON) (JSON, error) {
	if v == nil {
		return JSON("[]"), nil
	}
	type object = map[string]json.RawMessage
	var resources []object
	if err := json.Unmarshal(v, &resources); err != nil {
		return nil, err
	}
	null := json.RawMessage("null")
	for _, r := range resources {
		r["corrective_change"] = null
		events := []object{} // also for null
		if text := r["events"]; text != nil && !bytes.Equal(text, null) {
			if err := json.Unmarshal(text, &events); err != nil {
				return nil, err
			}
		}
		for _, e := range events {
			e["corrective_change"] = null
		}
		text, err := plainJSON(events)
		if err != nil {
			return nil, err
		}
		r["events"] = text
	}
	return plainJSON(resources)
}

// plainJSON writes v, whose raw messages are canonical, without changing them:
// json.Marshal would escape some characters. Keys are sorted; all of them are
// the wire format's own, hence ASCII.
func plainJSON[T any](v T) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// appendOldResource appends one resource of version 8, made of the events of
// versions 3 to 5 that common stands for.
func appendOldResource(b []byte, common Event, skipped bool, events []Event) []byte {
	b = append(b, `{"containment_path":`...)
	if common.ContainmentPath == nil {
		b = append(b, "null"...)
	} else {
		b = append(b, '[')
		for i, element := range common.ContainmentPath {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, element)
		}
		b = append(b, ']')
	}
	b = append(b, `,"corrective_change":null,"events":[`...)
	for i, e := range events {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendOptional(append(b, `{"corrective_change":null,"message":`...), e.Message)
		b = appendJSON(append(b, `,"new_value":`...), e.NewValue)
		b = appendJSON(append(b, `,"old_value":`...), e.OldValue)
		b = appendOptional(append(b, `,"property":`...), e.Property)
		b = appendString(append(b, `,"status":`...), e.Status)
		b = append(appendTime(append(b, `,"timestamp":`...), e.Timestamp), '}')
	}
	b = appendOptional(append(b, `],"file":`...), common.File)
	b = append(b, `,"line":`...)
	if common.Line == nil {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, *common.Line, 10)
	}
	b = appendString(append(b, `,"resource_title":`...), common.ResourceTitle)
	b = appendString(append(b, `,"resource_type":`...), common.ResourceType)
	b = strconv.AppendBool(append(b, `,"skipped":`...), skipped)
	return append(appendTime(append(b, `,"timestamp":`...), common.Timestamp), '}')
}
