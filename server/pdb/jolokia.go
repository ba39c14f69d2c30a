package pdb

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The protocol of Jolokia 1.7 (agent of upstream's /metrics/v2), as far as
// clients read: read, list, search and version, by GET path or POST body.
// Writing and executing are refused as upstream's policy refuses them.

// jolokiaRequest is one request. As it stands it is also echoed in the answer.
type jolokiaRequest struct {
	Path      string   `json:"path,omitempty"`
	MBean     string   `json:"mbean,omitempty"`
	Attribute any      `json:"attribute,omitempty"` // a string, a list of strings, or nil: all
	Type      string   `json:"type"`
	Operation string   `json:"operation,omitempty"`
	Value     any      `json:"value,omitempty"` // that write wants written
	path      []string // Path, split and unescaped
	maxDepth  int      // 0: no limit
	ignore    bool     // ignoreErrors: say of each attribute that it is not there
}

// jolokiaAnswer is a success.
type jolokiaAnswer struct {
	Request   jolokiaRequest `json:"request"`
	Value     any            `json:"value"`
	Timestamp int64          `json:"timestamp"`
	Status    int            `json:"status"`
}

// jolokiaError is a failure: an error, and how it is answered.
type jolokiaError struct {
	Request   *jolokiaRequest `json:"request,omitempty"`
	ErrorType string          `json:"error_type"`
	Message   string          `json:"error"`
	Status    int             `json:"status"`
}

func (e *jolokiaError) Error() string { return e.Message }

func jolokiaErr(status int, class, message string) *jolokiaError {
	return &jolokiaError{ErrorType: class, Message: class + " : " + message, Status: status}
}

const illegalArgument = "java.lang.IllegalArgumentException"

// jolokiaPath answers a GET: /type/… with "!" as escape.
func jolokiaPath(beans []bean, rawPath, rawQuery string, now time.Time) any {
	path, err := url.PathUnescape(rawPath)
	if err != nil {
		path = rawPath
	}
	req, jerr := parseJolokiaPath(path)
	if jerr != nil {
		return jerr
	}
	req.options(rawQuery)
	return serveJolokia(beans, req, now)
}

// options reads those that a URL gives, of a POST for all its requests.
func (r *jolokiaRequest) options(rawQuery string) {
	p, _ := ParseParams(rawQuery) // what cannot be read of options is left out
	if v, ok := p.Get("maxDepth"); ok {
		r.maxDepth, _ = strconv.Atoi(v)
	}
	ignore, _ := p.Get("ignoreErrors")
	r.ignore = ignore == "true"
}

// splitJolokia splits a path at slashes; "!/" is a slash and "!!" a "!".
func splitJolokia(path string) []string {
	path = strings.TrimPrefix(path, "/")
	if path == "" {
		return nil
	}
	var parts []string
	var part strings.Builder
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '!' && i+1 < len(path):
			i++
			part.WriteByte(path[i])
		case path[i] == '/':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(path[i])
		}
	}
	return append(parts, part.String())
}

// joinJolokia is the way back, for the echo.
func joinJolokia(parts []string) string {
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = strings.NewReplacer("!", "!!", "/", "!/").Replace(p)
	}
	return strings.Join(escaped, "/")
}

func parseJolokiaPath(path string) (jolokiaRequest, *jolokiaError) {
	parts := splitJolokia(strings.TrimSuffix(path, "/"))
	if len(parts) == 0 || parts[0] == "" {
		return jolokiaRequest{Type: "version"}, nil
	}
	req := jolokiaRequest{Type: strings.ToLower(parts[0])}
	rest := parts[1:]
	switch req.Type {
	case "version":
	case "list":
		req.setPath(rest)
	case "read", "search", "exec", "write":
		if len(rest) == 0 {
			return req, jolokiaErr(400, illegalArgument,
				"Invalid arguments in pathinfo "+path+" for command "+strings.ToUpper(req.Type))
		}
		req.MBean = rest[0]
		if rest = rest[1:]; len(rest) == 0 {
			break
		}
		if req.Type == "write" && len(rest) > 1 {
			req.Value = rest[1]
		}
		if req.Type == "exec" {
			req.Operation = rest[0]
			break
		}
		if names := strings.Split(rest[0], ","); len(names) > 1 {
			list := make([]any, len(names))
			for i, n := range names {
				list[i] = n
			}
			req.Attribute = list
		} else if rest[0] != "*" && rest[0] != "" {
			req.Attribute = rest[0]
		}
		if req.Type == "read" {
			req.setPath(rest[1:])
		}
	default:
		return req, jolokiaErr(400, illegalArgument, "No type with name '"+parts[0]+"' exists")
	}
	return req, nil
}

func (r *jolokiaRequest) setPath(parts []string) {
	r.path, r.Path = parts, joinJolokia(parts)
}

// jolokiaBody answers a POST: one request, or a list of them.
func jolokiaBody(beans []bean, body []byte, rawQuery string, now time.Time) any {
	body = bytes.TrimSpace(body)
	if len(body) > 0 && body[0] == '[' {
		var list []json.RawMessage
		if err := json.Unmarshal(body, &list); err == nil {
			answers := make([]any, len(list))
			for i, raw := range list {
				answers[i] = jolokiaOne(beans, raw, rawQuery, now)
			}
			return answers
		}
	}
	return jolokiaOne(beans, body, rawQuery, now)
}

func jolokiaOne(beans []bean, raw []byte, rawQuery string, now time.Time) any {
	var in struct {
		Type, MBean, Path, Operation string
		Attribute, Value             any
		Config                       struct {
			MaxDepth     json.RawMessage
			IgnoreErrors any
		}
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return jolokiaErr(400, illegalArgument, "Invalid JSON request "+string(bytes.ToValidUTF8(raw[:min(len(raw), 200)], nil)))
	}
	req := jolokiaRequest{Type: strings.ToLower(in.Type), MBean: in.MBean, Operation: in.Operation}
	switch req.Type {
	case "":
		return jolokiaErr(400, illegalArgument, "No type given")
	case "read", "list", "search", "version", "exec", "write":
	default:
		return jolokiaErr(400, illegalArgument, "No type with name '"+in.Type+"' exists")
	}
	if in.Attribute != "" {
		req.Attribute = in.Attribute
	}
	if in.Path != "" {
		req.setPath(splitJolokia(in.Path))
	}
	if req.Type == "write" {
		req.Value = in.Value
	}
	req.options(rawQuery)
	if depth, err := strconv.Atoi(strings.Trim(string(in.Config.MaxDepth), `"`)); err == nil {
		req.maxDepth = depth
	}
	if in.Config.IgnoreErrors != nil {
		req.ignore = in.Config.IgnoreErrors == true || in.Config.IgnoreErrors == "true"
	}
	return serveJolokia(beans, req, now)
}

// serveJolokia answers one parsed request.
func serveJolokia(beans []bean, req jolokiaRequest, now time.Time) any {
	value, err := req.value(beans)
	if err != nil {
		var jerr *jolokiaError
		if !errors.As(err, &jerr) {
			return jolokiaErr(400, illegalArgument, err.Error()) // no request: it made no sense
		}
		jerr.Request = &req
		return jerr
	}
	if req.maxDepth > 0 {
		value = truncate(value, req.maxDepth)
	}
	return jolokiaAnswer{Request: req, Value: value, Timestamp: now.Unix(), Status: 200}
}

func (r *jolokiaRequest) value(beans []bean) (any, error) {
	switch r.Type {
	case "version":
		return map[string]any{
			"agent": "1.7.1", "protocol": "7.2", "config": map[string]any{},
			"info": map[string]any{"product": "dalang", "vendor": "Dalang", "version": CompatibleVersion},
		}, nil
	case "list":
		return listBeans(beans, r.path)
	case "exec":
		return nil, jolokiaErr(403, "java.lang.Exception", "Operation "+r.Operation+" forbidden for MBean "+r.MBean)
	case "write":
		name, _ := r.Attribute.(string)
		return nil, jolokiaErr(403, "java.lang.Exception", "Writing attribute "+name+" forbidden for MBean "+r.MBean)
	}
	name, err := parseObjectName(r.MBean)
	if err != nil {
		return nil, err
	}
	r.MBean = name.String()
	if r.Type == "search" {
		found := []string{}
		for _, b := range beans {
			if name.matches(b.name) {
				found = append(found, b.name.String())
			}
		}
		return found, nil
	}
	return r.read(beans, name)
}

// read answers attributes of one bean, or of all that a pattern stands for.
func (r *jolokiaRequest) read(beans []bean, name objectName) (any, error) {
	if !name.pattern() {
		for _, b := range beans {
			if name.matches(b.name) {
				v, err := r.readBean(b)
				return walk(v, r.path), err
			}
		}
		return nil, jolokiaErr(404, "javax.management.InstanceNotFoundException", name.String())
	}
	found := map[string]any{}
	for _, b := range beans {
		if !name.matches(b.name) {
			continue
		}
		values := b.attrs
		if wanted := r.wanted(); wanted != nil {
			values = pick(b, wanted)
		}
		if len(values) > 0 {
			found[b.name.String()] = values
		}
	}
	if len(found) == 0 {
		return nil, jolokiaErr(404, "javax.management.InstanceNotFoundException",
			"No MBean with pattern "+name.String()+" found for reading attributes")
	}
	return walk(found, r.path), nil
}

// wanted lists the attributes asked for; nil is all.
func (r *jolokiaRequest) wanted() []string {
	switch a := r.Attribute.(type) {
	case string:
		return []string{a}
	case []any:
		var names []string
		for _, n := range a {
			if s, ok := n.(string); ok {
				names = append(names, s)
			}
		}
		return names
	}
	return nil
}

func pick(b bean, names []string) map[string]any {
	values := map[string]any{}
	for _, n := range names {
		if v, ok := b.attrs[n]; ok {
			values[n] = v
		}
	}
	return values
}

func (r *jolokiaRequest) readBean(b bean) (any, error) {
	wanted := r.wanted()
	if wanted == nil {
		return b.attrs, nil
	}
	for _, n := range wanted {
		if _, ok := b.attrs[n]; !ok && !r.ignore {
			return nil, jolokiaErr(404, "javax.management.AttributeNotFoundException", "No such attribute: "+n)
		}
	}
	if single, ok := r.Attribute.(string); ok {
		return b.attrs[single], nil
	}
	values := pick(b, wanted)
	for _, n := range wanted {
		if _, ok := b.attrs[n]; !ok {
			values[n] = "ERROR: No such attribute: " + n + " (class javax.management.AttributeNotFoundException)"
		}
	}
	return values, nil
}

// walk follows a path into a value; what is not there is null.
func walk(v any, path []string) any {
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// truncate replaces what lies deeper than depth by "1", as Jolokia does.
func truncate(v any, depth int) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	if depth == 0 {
		return "1"
	}
	out := make(map[string]any, len(m))
	for k, inner := range m {
		out[k] = truncate(inner, depth-1)
	}
	return out
}

// listBeans describes the beans: domain → properties → description.
func listBeans(beans []bean, path []string) (any, error) {
	if len(path) >= 2 {
		for _, b := range beans {
			if b.name.domain == path[0] && b.name.props() == path[1] {
				return walk(describe(b), path[2:]), nil
			}
		}
		return nil, jolokiaErr(400, illegalArgument, "No MBean '"+path[0]+":"+path[1]+"' found")
	}
	all := map[string]any{}
	for _, b := range beans {
		domain, _ := all[b.name.domain].(map[string]any)
		if domain == nil {
			domain = map[string]any{}
			all[b.name.domain] = domain
		}
		domain[b.name.props()] = describe(b)
	}
	if len(path) == 1 {
		if domain, ok := all[path[0]]; ok {
			return domain, nil
		}
		return map[string]any{}, nil
	}
	return all, nil
}

func describe(b bean) map[string]any {
	attrs := map[string]any{}
	for name, v := range b.attrs {
		attrs[name] = map[string]any{"rw": false, "type": javaType(v), "desc": name}
	}
	return map[string]any{
		"op": map[string]any{}, "attr": attrs, "class": b.class,
		"desc": "Information on the management interface of the MBean",
	}
}

// javaType names the Java type that a client may expect of a value.
func javaType(v any) string {
	switch v.(type) {
	case string:
		return "java.lang.String"
	case bool:
		return "boolean"
	case int:
		return "int"
	case int64:
		return "long"
	case float64, double:
		return "double"
	case map[string]any:
		return "javax.management.openmbean.CompositeData"
	}
	return "java.lang.Object"
}
