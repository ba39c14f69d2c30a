package pdb

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
)

// Content types as a client of upstream sees them: Jetty strips the blank.
const (
	TypeJSON = "application/json;charset=utf-8"
	TypeText = "text/plain;charset=utf-8"
	TypeHTML = "text/html;charset=utf-8"
)

// Compact marshals v without white space and without HTML escapes.
func Compact(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Pretty marshals v the way Jackson's default pretty printer does, byte for
// byte: two blanks of indentation, ` : ` between key and value, arrays on one
// line as `[ a, b ]`.
func Pretty(v any) ([]byte, error) {
	compact, err := Compact(v)
	if err != nil {
		return nil, err
	}
	return AppendPretty(nil, compact), nil
}

// AppendPretty reformats compact, valid JSON text; see Pretty.
func AppendPretty(dst, compact []byte) []byte {
	depth := 0 // of objects: arrays do not indent
	for i := 0; i < len(compact); i++ {
		c := compact[i]
		empty := i+1 < len(compact) && (compact[i+1] == '}' || compact[i+1] == ']')
		switch {
		case c == '"':
			end := stringEnd(compact, i)
			dst = append(dst, compact[i:end]...)
			i = end - 1
		case (c == '{' || c == '[') && empty:
			dst = append(dst, c, ' ', compact[i+1])
			i++
		case c == '{':
			depth++
			dst = newline(append(dst, '{'), depth)
		case c == '}':
			depth--
			dst = append(newline(dst, depth), '}')
		case c == '[':
			dst = append(dst, '[', ' ')
		case c == ']':
			dst = append(dst, ' ', ']')
		case c == ':':
			dst = append(dst, " : "...)
		case c == ',':
			dst = append(dst, ',')
			dst = separate(dst, compact, i, depth)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// separate writes what follows a comma: a new line inside an object, a blank
// inside an array.
func separate(dst, compact []byte, comma, depth int) []byte {
	if inObject(compact, comma) {
		return newline(dst, depth)
	}
	return append(dst, ' ')
}

// inObject tells whether the comma at i parts two members: then a string and a
// colon follow, which cannot be in an array.
func inObject(compact []byte, i int) bool {
	if i+1 >= len(compact) || compact[i+1] != '"' {
		return false
	}
	end := stringEnd(compact, i+1)
	return end < len(compact) && compact[end] == ':'
}

func newline(dst []byte, depth int) []byte {
	dst = append(dst, '\n')
	for range depth {
		dst = append(dst, ' ', ' ')
	}
	return dst
}

// stringEnd returns the offset behind the string that starts at i.
func stringEnd(b []byte, i int) int {
	for j := i + 1; j < len(b); j++ {
		switch b[j] {
		case '\\':
			j++
		case '"':
			return j + 1
		}
	}
	return len(b)
}

// WriteJSON answers v pretty-printed, as upstream answers single objects.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	b, err := Pretty(v)
	if err != nil {
		return err
	}
	return write(w, status, TypeJSON, b)
}

// WriteCompact answers v on one line, as upstream's status service does.
func WriteCompact(w http.ResponseWriter, status int, v any) error {
	b, err := Compact(v)
	if err != nil {
		return err
	}
	return write(w, status, TypeJSON, b)
}

// WriteText answers a bare text.
func WriteText(w http.ResponseWriter, status int, text string) error {
	return write(w, status, TypeText, []byte(text))
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) error {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}
