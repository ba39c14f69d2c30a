package pdb

import (
	"net/http"
	"regexp"
	"strings"
)

// CheckAccept refuses a request that does not take JSON. Upstream compares
// whole members of the list and knows no q-values: "application/json;q=0.9"
// alone is refused (spec commands.md §1.2 check 6).
func CheckAccept(r *http.Request) error {
	accept := r.Header.Values("Accept")
	if len(accept) == 0 {
		return nil
	}
	for _, header := range accept {
		for member := range strings.SplitSeq(header, ",") {
			switch strings.TrimSpace(member) {
			case "application/json", "application/*", "*/*":
				return nil
			}
		}
	}
	return Kindf(http.StatusNotAcceptable, "not-acceptable", "accept header must include application/json")
}

// CheckContentType refuses a POST or PUT whose media type is not JSON. An
// absent header, or one that is no type/subtype at all, passes.
func CheckContentType(r *http.Request) error {
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		return nil
	}
	mt := baseType(r.Header.Get("Content-Type"))
	if mt == "" || mt == "application/json" {
		return nil
	}
	return Kindf(http.StatusUnsupportedMediaType, "unsupported-type",
		"content-type %s is not a supported type for request of type :%s at %s",
		mt, strings.ToLower(r.Method), r.URL.EscapedPath())
}

// mediaType is a type and a subtype in the letters that RFC 2616 allows.
var mediaType = regexp.MustCompile(`^[^\s()<>@,;:\\"/\[\]?={}]+/[^\s()<>@,;:\\"/\[\]?={}]+`)

func baseType(header string) string {
	return mediaType.FindString(strings.TrimSpace(header))
}

// NoParams refuses a request with query parameters.
func NoParams(r *http.Request) error {
	p, err := ParseParams(r.URL.RawQuery)
	if err != nil {
		return err
	}
	if keys := p.Keys(); len(keys) > 0 {
		return Textf(http.StatusBadRequest, "Unsupported query parameter '%s'", keys[0])
	}
	return nil
}
