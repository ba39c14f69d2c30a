package difffuzz

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"

	"dalang/store/query/conformance"
)

// maxBody bounds the answer that a case holds; of more rows only the number is kept.
const maxBody = 3000

// caseLine is a case as one line of JSON without what is empty.
func caseLine(c conformance.Case) ([]byte, error) {
	if rows := []json.RawMessage{}; len(c.Expect.Body) > maxBody && json.Unmarshal(c.Expect.Body, &rows) == nil {
		for i := range rows {
			rows[i] = json.RawMessage(strconv.Itoa(i))
		}
		b, err := json.Marshal(rows)
		if err != nil {
			return nil, err
		}
		c.Expect.Body, c.Only, c.Ordered, c.OrderKeys = b, "count", false, nil
	}
	if c.Only != "" || c.Expect.Text != nil {
		c.Unordered = nil
	}
	b, err := json.Marshal(c.Request)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	c.ID = "difffuzz-" + hex.EncodeToString(sum[:4])
	if b, err = json.Marshal(c); err != nil {
		return nil, err
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, err
	}
	if m["expect"], err = slim(m["expect"]); err != nil {
		return nil, err
	}
	if b, err = json.Marshal(m); err != nil {
		return nil, err
	}
	return slim(b)
}

// slim leaves out what is empty.
func slim(object []byte) ([]byte, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(object, &m); err != nil {
		return nil, err
	}
	for k, v := range m {
		if slices.Contains([]string{"null", `""`, "false"}, string(v)) {
			delete(m, k)
		}
	}
	return json.Marshal(m)
}
