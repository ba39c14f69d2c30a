package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"dalang/cmd/internal/client"
)

// absentLooks is how many looks pass, while nothing happens, between two
// questions whose agents are away. manyAbsent is of how many nodes it is asked.
const (
	absentLooks = 5
	manyAbsent  = 500
)

// tellAbsent says that a job waits for agents to connect, and for which, so
// that nobody wonders why nothing happens. What a server cannot tell is not
// worth an error here.
func (f *follower) tellAbsent(ctx context.Context, j *jobInfo) {
	if f.idle%absentLooks != 1 || j.ended() || j.NodeStates["new"] == 0 {
		return
	}
	nodes, err := f.api.nodes(ctx, f.name, url.Values{"state": {"new"}, "limit": {strconv.Itoa(manyAbsent)}})
	if err != nil {
		return
	}
	var names []string
	for i := range nodes {
		if nodes[i].Transport == "pcp" {
			names = append(names, nodes[i].Name)
		}
	}
	if len(names) == 0 {
		return
	}
	absent, err := f.api.absent(ctx, names)
	if err != nil || len(absent) == f.absent {
		return
	}
	if f.absent = len(absent); f.absent == 0 {
		return
	}
	const most = 5
	list, least := strings.Join(absent[:min(most, len(absent))], ", "), ""
	if len(absent) > most {
		list += ", …"
	}
	if len(nodes) == manyAbsent {
		least = "at least "
	}
	f.screen.note("Waiting for the agents of %s%s to connect: %s", least, counted(len(absent), "node"), list)
}

// absent are those of some nodes whose agents are not connected.
func (a *jobAPI) absent(ctx context.Context, certnames []string) (absent []string, err error) {
	body, err := json.Marshal(map[string]any{"nodes": certnames})
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Name      string
			Connected bool
		}
	}
	err = a.client.JSON(ctx, client.Request{Method: http.MethodPost, Path: orchestratorPath + "/inventory", Body: body}, &list)
	for _, n := range list.Items {
		if !n.Connected {
			absent = append(absent, n.Name)
		}
	}
	return absent, err
}
