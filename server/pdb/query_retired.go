package pdb

import "net/http"

// retired answers the versions of the API that are no more.
func (t *queryTable) retired() {
	for _, v := range []string{"v1", "v2", "v3"} {
		t.routes = append(t.routes, Route{
			Path: "/pdb/query/" + v + "{rest:/.*}",
			Handle: func(http.ResponseWriter, *http.Request) error {
				return Textf(http.StatusNotFound, "The %s API has been retired; please use v4", v)
			},
			Doc: "retired",
		})
	}
}
