package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"dalang/cmd/internal/client"
	"dalang/orchestrator/rbac"
)

// accessAPI is the part of a server's API that says who may.
type accessAPI struct {
	client *client.Client
	local  bool // it is the data that is worked on, as nobody in particular
}

// tokenInfo is a token as the API shows it.
type tokenInfo struct {
	ID          string     `json:"id"`
	Login       string     `json:"login"`
	Label       string     `json:"label"`
	Description string     `json:"description"`
	Created     time.Time  `json:"creation"`
	Expires     time.Time  `json:"expiration"`
	LastActive  time.Time  `json:"last_active"`
	Revoked     *time.Time `json:"revocation"`
}

// userInfo is a user as the API shows it.
type userInfo struct {
	ID          string     `json:"id"`
	Login       string     `json:"login"`
	Email       string     `json:"email"`
	DisplayName string     `json:"display_name"`
	RoleIDs     []int64    `json:"role_ids"`
	Superuser   bool       `json:"is_superuser"`
	Revoked     bool       `json:"is_revoked"`
	LastLogin   *time.Time `json:"last_login"`
}

func (u *userInfo) path() string { return "/v1/users/" + u.ID }

// roleInfo is a role as the API shows it, and as it wants it.
type roleInfo struct {
	ID          int64             `json:"id,omitempty"`
	Name        string            `json:"display_name"`
	Description string            `json:"description"`
	Permissions []rbac.Permission `json:"permissions"`
	UserIDs     []string          `json:"user_ids"`
}

func (r *roleInfo) path() string { return fmt.Sprintf("/v1/roles/%d", r.ID) }

// send sends a body and decodes the answer into into, unless that is nil.
func (a *accessAPI) send(ctx context.Context, method, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return a.client.JSON(ctx, client.Request{Method: method, Path: "/rbac-api" + path, Body: text}, into)
}

func (a *accessAPI) get(ctx context.Context, path string, query url.Values, into any) error {
	return a.client.JSON(ctx, client.Request{Path: "/rbac-api" + path, Query: query}, into)
}

// remove deletes what is at a path.
func (a *accessAPI) remove(ctx context.Context, path string) error {
	return a.client.JSON(ctx, client.Request{Method: http.MethodDelete, Path: "/rbac-api" + path}, nil)
}

// raw copies an answer to w, on a line of its own.
func (a *accessAPI) raw(ctx context.Context, path string, query url.Values, w io.Writer) error {
	var text json.RawMessage
	if err := a.get(ctx, path, query, &text); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, string(text))
	return err
}

func (a *accessAPI) users(ctx context.Context) (users []userInfo, err error) {
	return users, a.get(ctx, "/v1/users", nil, &users)
}

// user finds a user by login.
func (a *accessAPI) user(ctx context.Context, login string) (*userInfo, error) {
	users, err := a.users(ctx)
	if err != nil {
		return nil, err
	}
	for i := range users {
		if strings.EqualFold(users[i].Login, login) {
			return &users[i], nil
		}
	}
	return nil, fmt.Errorf("there is no user %s", login)
}

func (a *accessAPI) roles(ctx context.Context) (roles []roleInfo, err error) {
	return roles, a.get(ctx, "/v1/roles", nil, &roles)
}

// role finds a role by name or id.
func (a *accessAPI) role(ctx context.Context, name string) (*roleInfo, error) {
	found, err := a.rolesNamed(ctx, []string{name})
	if err != nil {
		return nil, err
	}
	return &found[0], nil
}

// rolesNamed finds roles by names, whose case does not matter, or ids.
func (a *accessAPI) rolesNamed(ctx context.Context, names []string) ([]roleInfo, error) {
	if len(names) == 0 {
		return nil, nil
	}
	roles, err := a.roles(ctx)
	if err != nil {
		return nil, err
	}
	var found []roleInfo
	for _, name := range names {
		n := len(found)
		for _, r := range roles {
			if strings.EqualFold(r.Name, name) || fmt.Sprint(r.ID) == name {
				found = append(found, r)
				break
			}
		}
		if len(found) == n {
			return nil, fmt.Errorf("there is no role %q", name)
		}
	}
	return found, nil
}

func idsOf(roles []roleInfo) []int64 {
	ids := []int64{}
	for _, r := range roles {
		ids = append(ids, r.ID)
	}
	return ids
}

// tokenQuery asks for the tokens of a user; login "": one's own, all: everybody's.
func (a *accessAPI) tokenQuery(ctx context.Context, login string, all bool) (url.Values, error) {
	switch {
	case all || login == "" && a.local:
		return url.Values{"all": {"true"}}, nil
	case login == "":
		return nil, nil
	}
	u, err := a.user(ctx, login)
	if err != nil {
		return nil, err
	}
	return url.Values{"user_id": {u.ID}}, nil
}

var errNothingToChange = errors.New("nothing is to be changed: say what")
