package orch

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"dalang/orchestrator/rbac"
)

// tokenDoc is an answer with a token, which is shown this once.
type tokenDoc struct {
	Token string `json:"token"`
}

// tokenRequest takes what a new token is to be like.
func (o *object) tokenRequest() rbac.TokenRequest {
	return rbac.TokenRequest{Lifetime: o.lifetime(), Description: o.str("description", ""), Client: o.str("client", ""), Label: o.str("label", "")}
}

// lifetime is a string such as "30d", or a number of seconds.
func (o *object) lifetime() string {
	raw := o.take("lifetime")
	if raw == nil {
		return ""
	}
	switch what(raw) {
	case "a number":
		return string(raw)
	case "a string":
		var text string
		if json.Unmarshal(raw, &text) == nil && text != "" {
			return text
		}
	}
	o.wrong("lifetime", `a text such as "30d", or a number of seconds`, what(raw))
	return ""
}

// login answers POST /v1/auth/token.
func (a *RBAC) login(w http.ResponseWriter, r *http.Request) error {
	o, err := readMembers(w, r)
	if err != nil {
		return err
	}
	login, password, req := o.text("login"), o.text("password"), o.tokenRequest()
	switch err := o.done(); {
	case err != nil:
		return err
	case login == nil || password == nil:
		return rbac.Invalid("login and password are required")
	}
	note(r, slog.String("user_login", shortened(*login)), slog.String("label", shortened(req.Label)))
	token, err := a.access.Login(r.Context(), *login, *password, req)
	if err != nil {
		return err
	}
	return secretly(w, tokenDoc{token})
}

// secretly answers with something that nobody may keep on the way.
func secretly(w http.ResponseWriter, v any) error {
	w.Header().Set("Cache-Control", "no-store")
	return WriteJSON(w, http.StatusOK, v)
}

// createToken answers POST /v1/tokens: for who asks, or, as administrator, for
// the user whom login names.
func (a *RBAC) createToken(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	o, err := readMembers(w, r)
	if err != nil {
		return err
	}
	login, req := o.text("login"), o.tokenRequest()
	if err := o.done(); err != nil {
		return err
	}
	user := s.ID
	if login != nil {
		if user, err = a.other(r, s, *login); err != nil {
			return err
		}
	}
	note(r, slog.String("user", user.String()), slog.String("label", shortened(req.Label)))
	token, _, err := a.access.CreateToken(r.Context(), user, req)
	if err != nil {
		return err
	}
	return secretly(w, tokenDoc{token})
}

// other is the id of a user whom s may act for.
func (a *RBAC) other(r *http.Request, s *rbac.Subject, login string) (uuid.UUID, error) {
	if rbac.LoginKey(login) == rbac.LoginKey(s.Login) {
		return s.ID, nil
	}
	if err := administer(s); err != nil {
		return uuid.Nil, err
	}
	u, err := a.access.UserByLogin(r.Context(), login)
	if err != nil {
		return uuid.Nil, err
	}
	return u.ID, nil
}

// identityDoc tells whose a token is.
type identityDoc struct {
	ID          uuid.UUID `json:"id"`
	UserID      uuid.UUID `json:"user_id"`
	Login       string    `json:"login"`
	DisplayName string    `json:"display_name"`
	Email       string    `json:"email"`
	RoleIDs     []int64   `json:"role_ids"`
	IsSuperuser bool      `json:"is_superuser"`
	Description string    `json:"description"`
	Label       string    `json:"label"`
	Client      string    `json:"client"`
	Expiration  moment    `json:"expiration"`
}

// inspect answers POST /v2/auth/token/authenticate. Who knows a token may ask.
func (a *RBAC) inspect(w http.ResponseWriter, r *http.Request) error {
	o, err := readMembers(w, r)
	if err != nil {
		return err
	}
	token, touch := o.text("token"), o.flag("update_last_activity?")
	switch err := o.done(); {
	case err != nil:
		return err
	case token == nil:
		return rbac.Invalid("token is required")
	}
	s, t, err := a.access.Inspect(r.Context(), strings.TrimSpace(*token), touch != nil && *touch)
	if err != nil {
		return err
	}
	return secretly(w, identityDoc{s.ID, s.ID, s.Login, s.DisplayName, s.Email, append([]int64{}, s.Roles...), s.Superuser,
		t.Description, t.Label, t.Client, moment(t.Expires)})
}

// revoke answers DELETE /v2/tokens/{token}. Who knows a token may take it back.
func (a *RBAC) revoke(w http.ResponseWriter, r *http.Request) error {
	err := a.access.RevokeToken(r.Context(), pathVar(r, "token"))
	if isUnauthenticated(err) {
		return rbac.NotFound("There is no such token")
	}
	if err != nil {
		return err
	}
	return noContent(w)
}

// storedToken is what is known of a token that was given to somebody.
type storedToken struct {
	ID          string    `json:"id"`
	UserID      uuid.UUID `json:"user_id"`
	Login       string    `json:"login"`
	Description string    `json:"description"`
	Client      string    `json:"client"`
	Label       string    `json:"label"`
	Creation    moment    `json:"creation"`
	Expiration  moment    `json:"expiration"`
	LastActive  moment    `json:"last_active"`
	Revocation  moment    `json:"revocation"` // null: it is not revoked
}

// listTokens answers GET /v2/tokens: one's own, those of ?user_id=, or with
// ?all=true everybody's.
func (a *RBAC) listTokens(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	user := s.ID
	var err error
	p := paramsOf(r)
	switch given, all := p.values.Get("user_id"), p.oneOf("all", "true", "false") == "true"; {
	case p.err != nil:
		return p.err
	case all:
		user = uuid.Nil
	case given != "":
		if user, err = parseUser(given); err != nil {
			return err
		}
	}
	if user != s.ID {
		if err := administer(s); err != nil {
			return err
		}
	}
	tokens, err := a.access.Tokens(r.Context(), user)
	if err != nil {
		return err
	}
	items := make([]storedToken, len(tokens))
	for i, t := range tokens {
		items[i] = storedToken{strconv.FormatInt(t.ID, 10), t.UserID, t.Login, t.Description, t.Client, t.Label,
			moment(t.Created), moment(t.Expires), moment(t.LastActive), moment(t.Revoked)}
	}
	return WriteJSON(w, http.StatusOK, struct {
		Items []storedToken `json:"items"`
	}{items})
}

// revokeTokens answers DELETE /v2/tokens. What it may not or cannot revoke
// stops it; what was revoked before stays so.
func (a *RBAC) revokeTokens(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	lists, err := revocations(w, r)
	if err != nil {
		return err
	}
	for key, list := range lists {
		if len(list) > 0 {
			note(r, slog.Int(key, len(list))) // they may be tokens themselves
		}
	}
	for _, token := range lists["revoke_tokens"] {
		if err := a.access.RevokeToken(r.Context(), token); isUnauthenticated(err) {
			return rbac.NotFound("There is no such token")
		} else if err != nil {
			return err
		}
	}
	ids, err := a.tokenIDs(r, s, lists)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := a.access.RevokeTokenID(r.Context(), id); err != nil {
			return err
		}
	}
	return noContent(w)
}

// revocations reads what to revoke from the parameters and the body.
func revocations(w http.ResponseWriter, r *http.Request) (map[string][]string, error) {
	keys := []string{"revoke_tokens", "revoke_tokens_by_usernames", "revoke_tokens_by_labels", "revoke_tokens_by_ids"}
	lists, given := map[string][]string{}, false
	for _, key := range keys {
		for _, text := range r.URL.Query()[key] {
			lists[key] = append(lists[key], strings.Split(text, ",")...)
			given = true
		}
	}
	if r.ContentLength != 0 {
		o, err := readMembers(w, r)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			names, there := o.names(key, 10_000)
			lists[key], given = append(lists[key], names...), given || there
		}
		if err := o.done(); err != nil {
			return nil, err
		}
	}
	if !given {
		return nil, rbac.Malformed("Say which tokens, by one of %s", strings.Join(keys, ", "))
	}
	return lists, nil
}

// tokenIDs are the ids of the tokens that are named by something else than
// themselves: by labels one's own; by ids one's own, or, as administrator, all.
func (a *RBAC) tokenIDs(r *http.Request, s *rbac.Subject, lists map[string][]string) ([]int64, error) {
	var ids []int64
	own, err := a.access.Tokens(r.Context(), s.ID)
	if err != nil {
		return nil, err
	}
	for _, label := range lists["revoke_tokens_by_labels"] {
		for _, t := range own {
			if label != "" && t.Label == label {
				ids = append(ids, t.ID)
			}
		}
	}
	for _, text := range lists["revoke_tokens_by_ids"] {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, rbac.Malformed("The id of a token is an integer, and not %.80q", text)
		}
		mine := slices.ContainsFunc(own, func(t rbac.Token) bool { return t.ID == id })
		if err := administer(s); err != nil && !mine {
			return nil, err
		}
		ids = append(ids, id)
	}
	for _, login := range lists["revoke_tokens_by_usernames"] {
		user, err := a.other(r, s, login)
		if err != nil {
			return nil, err
		}
		theirs, err := a.access.Tokens(r.Context(), user)
		if err != nil {
			return nil, err
		}
		for _, t := range theirs {
			ids = append(ids, t.ID)
		}
	}
	return ids, nil
}
