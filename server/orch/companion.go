package orch

import (
	"encoding/json"
	"net/http"

	"dalang/orchestrator/rbac"
)

// maxCompanionBody is how large bodies of the companion services may be.
const maxCompanionBody = 16 << 20

// readJSON reads a body that has to be JSON of any kind.
func readJSON(w http.ResponseWriter, r *http.Request) (json.RawMessage, error) {
	text, err := readText(w, r, maxCompanionBody)
	if err != nil {
		return nil, err
	}
	var value json.RawMessage
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, rbac.Malformed("The body of the request is not JSON: %v", err)
	}
	return value, nil
}

// readMembers reads a body that has to be an object.
func readMembers(w http.ResponseWriter, r *http.Request) (*object, error) {
	text, err := readJSON(w, r)
	if err != nil {
		return nil, err
	}
	return parseObject(text)
}

// values is a member that is an object of anything, nil if it is absent.
func (o *object) values(key string) map[string]json.RawMessage {
	raw := o.take(key)
	if raw == nil {
		return nil
	}
	var values map[string]json.RawMessage
	if json.Unmarshal(raw, &values) != nil {
		o.wrong(key, "an object", what(raw))
	}
	return values
}

// str is a string member, without if it is absent.
func (o *object) str(key, without string) string {
	if s := o.text(key); s != nil {
		return *s
	}
	return without
}

// seeOther answers that something was made, and where it is.
func seeOther(w http.ResponseWriter, path string) error {
	w.Header().Set("Location", path)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// noContent answers that all is well.
func noContent(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}
