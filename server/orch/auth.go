package orch

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
)

// Authenticator tells who somebody is; it is *rbac.Access.
type Authenticator interface {
	// Authenticate tells whose a token is, or a certificate's common name; ""
	// stands for none of either. Refusals are *job.Error.
	Authenticate(ctx context.Context, token, clientCN string) (*rbac.Subject, error)
}

// Auth tells who asks, from a request.
type Auth struct {
	who    Authenticator
	origin *http.CrossOriginProtection
}

// NewAuth makes an Auth.
func NewAuth(who Authenticator) *Auth { return &Auth{who, http.NewCrossOriginProtection()} }

// Subject tells who asks (orchestrator.md §1.2): by the header
// X-Authentication, else by the parameter token, else by the client's verified
// certificate. Its errors are *job.Error where the client is to blame.
//
// A browser sends certificates along, and reaches a server on loopback, for any
// page that it shows. Without a token, requests that change something must not
// come from pages of somebody else.
func (a *Auth) Subject(r *http.Request) (*rbac.Subject, error) {
	token := tokenOf(r)
	if token == "" {
		if err := a.origin.Check(r); err != nil {
			return nil, rbac.Denied("A page of another origin must not do this: %v", err)
		}
	}
	return a.who.Authenticate(r.Context(), token, verifiedName(r))
}

// Authenticate is Subject as Config.Authenticate wants it.
func (a *Auth) Authenticate(r *http.Request) (Subject, error) {
	s, err := a.Subject(r)
	if err != nil {
		return nil, err // not s: an interface that holds nil is not nil
	}
	return s, nil
}

// tokenOf is the token that a request shows, "" if it shows none.
func tokenOf(r *http.Request) string {
	if token := strings.TrimSpace(r.Header.Get("X-Authentication")); token != "" {
		return token
	}
	return strings.TrimSpace(r.URL.Query().Get("token"))
}

// verifiedName is the common name of the client's certificate, "" if it has
// none that was verified.
func verifiedName(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return ""
	}
	return r.TLS.VerifiedChains[0][0].Subject.CommonName
}

// known is a handler that knows who asks.
type known func(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error

// guard lets those in who are known. What is wrong with a request is told in
// the words of the companion services.
func (a *Auth) guard(handle known) Handler {
	return companion(func(w http.ResponseWriter, r *http.Request) error {
		s, err := a.Subject(r)
		if err != nil {
			return err
		}
		identify(r, s.Owner())
		return handle(w, r, s)
	})
}

// companion gives validation errors the kind that they have in the companion
// services (orchestrator.md §4.1, §4.2).
func companion(handle Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := handle(w, r)
		var e *job.Error
		if !errors.As(err, &e) || e.Kind != job.Prefix+"validation-error" {
			return err
		}
		other := *rbac.Invalid("%s", e.Msg)
		other.Status = e.Status
		return &other
	}
}
