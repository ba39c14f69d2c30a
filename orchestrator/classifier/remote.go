package classifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
	"dalang/orchestrator/upstream"
)

// maxAncestors bounds how far up the groups of another classifier are followed.
const maxAncestors = 50

// RemoteConfig is what NewRemote needs. URL and Nodes are required.
type RemoteConfig struct {
	// URL is the other classifier's, "https://pe.example.com:4433/classifier-api";
	// /classifier-api where it has no path.
	URL    string
	Client *http.Client // with a certificate that it accepts
	Nodes  Nodes

	Timeout time.Duration // of each question; default 10 s
	KeepFor time.Duration // how long parents of groups are good; default 10 s
	Logger  *slog.Logger
	Now     func() time.Time
}

// Remote resolves groups that another classifier keeps. It asks that for their
// rules (GET /v1/groups/{id}/rules), for what is above them (GET
// /v1/groups/{id}), and for all of them (GET /v1/groups); which nodes the rules
// match is decided here, by the facts that are stored here. Its methods may be
// called at the same time.
type Remote struct {
	cfg RemoteConfig
	up  *upstream.Service

	mu      sync.Mutex
	parents map[string]parent
}

// parent is the group above another one, as it was told.
type parent struct {
	id    string
	asked time.Time
}

// NewRemote checks the configuration and asks nobody.
func NewRemote(cfg RemoteConfig) (*Remote, error) {
	if cfg.Nodes == nil {
		return nil, errors.New("classifier: Nodes is required")
	}
	base, err := remoteURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.KeepFor <= 0 {
		cfg.KeepFor = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Remote{cfg: cfg, up: upstream.New("the classifier", base, cfg.Client), parents: map[string]parent{}}, nil
}

// CheckURL tells what is wrong with the URL of another classifier.
func CheckURL(text string) error {
	_, err := remoteURL(text)
	return err
}

// remoteURL is what the paths of another classifier are below.
func remoteURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("%q is not the URL of a classifier, such as https://pe.example.com:4433/classifier-api", text)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/classifier-api"
	}
	return u.String(), nil
}

// Resolve gives the nodes of a group that has a rule of its own, in the order
// of their names. A group that has none, or is not known, has no nodes. Errors
// about the classifier and its rules are *job.Error.
func (r *Remote) Resolve(ctx context.Context, id string) ([]string, error) {
	if !IsID(id) {
		return nil, nil
	}
	rule, err := r.rule(ctx, id)
	if rule == nil || err != nil {
		return nil, err
	}
	return matching(ctx, r.cfg.Nodes, id, rule)
}

// rule is that of a group with those of the groups above it; nil when it has
// none of its own.
func (r *Remote) rule(ctx context.Context, id string) (*Rule, error) {
	var answer struct {
		Rule      json.RawMessage `json:"rule"`
		Inherited json.RawMessage `json:"rule_with_inherited"`
	}
	known, err := r.get(ctx, id, "/rules", &answer)
	if err != nil {
		return nil, job.NodeGroup(http.StatusServiceUnavailable, id, "The node group %s cannot be resolved now: %v", id, err)
	}
	if !known || len(answer.Rule) == 0 || isNull(answer.Rule) {
		return nil, nil
	}
	rule, err := ParseRule(answer.Inherited)
	if err != nil {
		return nil, job.NodeGroup(http.StatusBadRequest, id, "The node group %s has a rule that cannot be matched here: %v", id, err)
	}
	return rule, nil
}

// Ancestors are the ids of the groups above a group, nearest first, as far as
// the classifier tells them: what it does not tell gives nobody a permission.
func (r *Remote) Ancestors(id string) []string {
	var ids []string
	for id != rbac.RootGroup && IsID(id) && len(ids) < maxAncestors {
		above, err := r.parent(id)
		if err != nil {
			r.cfg.Logger.Warn("the classifier does not tell what is above a node group; permissions on groups above it do not count",
				"group", id, "error", err)
			return ids
		}
		if above == "" || slices.Contains(ids, above) {
			return ids
		}
		ids = append(ids, above)
		id = above
	}
	return ids
}

// parent is the group above one; "" if there is none.
func (r *Remote) parent(id string) (string, error) {
	now := r.cfg.Now()
	r.mu.Lock()
	p, known := r.parents[id]
	r.mu.Unlock()
	if known && now.Sub(p.asked) < r.cfg.KeepFor {
		return p.id, nil
	}
	var answer struct {
		Parent string `json:"parent"`
	}
	found, err := r.get(context.Background(), id, "", &answer)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for other, p := range r.parents { // so that they stay few
		if now.Sub(p.asked) >= r.cfg.KeepFor {
			delete(r.parents, other)
		}
	}
	if !found || !IsID(answer.Parent) {
		answer.Parent = ""
	}
	r.parents[id] = parent{answer.Parent, now}
	return answer.Parent, nil
}

// get asks for something of a group; known: there is such a group.
func (r *Remote) get(ctx context.Context, id, what string, into any) (known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	_, err = r.up.JSON(ctx, "/v1/groups/"+id+what, nil, into)
	var answer *upstream.AnswerError
	// Somebody else's 404, as of a wrong URL, is not of this kind.
	if errors.As(err, &answer) && answer.Status == http.StatusNotFound && answer.Kind() == "not-found" {
		return false, nil
	}
	return err == nil, err
}
