package rbac

import (
	"errors"
	"fmt"
	"net/http"

	"dalang/orchestrator/job"
)

// Prefix begins the kinds of errors that say who somebody is not.
const Prefix = "puppetlabs.rbac/"

// ErrNotFound is what a Store says of a user, role or token that is not there.
var ErrNotFound = errors.New("not found")

// ErrDuplicate is what a Store says of a login or a role's name that is taken.
var ErrDuplicate = errors.New("the name is taken")

func unauthenticated(kind, msg string) *job.Error {
	return &job.Error{Kind: Prefix + kind, Msg: msg, Status: http.StatusUnauthorized}
}

// Unauthenticated: the request does not say who asks.
func Unauthenticated() *job.Error {
	return unauthenticated("user-unauthenticated", "Route requires authentication")
}

// InvalidToken: nobody was given this token.
func InvalidToken() *job.Error { return unauthenticated("invalid-token", "The token is not valid") }

// TokenExpired: the token's time is over.
func TokenExpired() *job.Error { return unauthenticated("token-expired", "The token has expired") }

// TokenRevoked: the token was taken back.
func TokenRevoked() *job.Error { return unauthenticated("token-revoked", "The token was revoked") }

// UserRevoked: the user may not come in any more.
func UserRevoked(login string) *job.Error {
	return unauthenticated("user-revoked", fmt.Sprintf("The user %s is revoked", login))
}

// WrongPassword: the login or the password is wrong, which of them is not told.
func WrongPassword() *job.Error {
	return unauthenticated("user-unauthenticated", "The login or the password is wrong")
}

// TooManyAttempts: the login failed too often.
func TooManyAttempts() *job.Error {
	return &job.Error{Kind: Prefix + "too-many-attempts", Msg: "The login has failed too often; wait some minutes",
		Status: http.StatusTooManyRequests}
}

func refused(status int, kind, format string, args ...any) *job.Error {
	return &job.Error{Kind: kind, Msg: fmt.Sprintf(format, args...), Status: status}
}

// Malformed: the request cannot be read.
func Malformed(format string, args ...any) *job.Error {
	return refused(http.StatusBadRequest, "malformed-request", format, args...)
}

// Invalid: the request can be read, but says something that is not allowed.
func Invalid(format string, args ...any) *job.Error {
	return refused(http.StatusBadRequest, "schema-violation", format, args...)
}

// InvalidUUID: what should be a UUID is none.
func InvalidUUID(given string) *job.Error {
	return refused(http.StatusBadRequest, "invalid-uuid", "%.80q is not a UUID", given)
}

// Denied: the subject may not do that.
func Denied(format string, args ...any) *job.Error {
	return refused(http.StatusForbidden, "permission-denied", format, args...)
}

// NotFound: there is no such user, role or token.
func NotFound(format string, args ...any) *job.Error {
	return refused(http.StatusNotFound, "not-found", format, args...)
}

// Conflict: the name is taken.
func Conflict(format string, args ...any) *job.Error {
	return refused(http.StatusConflict, "conflict", format, args...)
}

// InvalidAssociation: something that is referred to does not exist.
func InvalidAssociation(format string, args ...any) *job.Error {
	return refused(http.StatusUnprocessableEntity, "invalid-associated-id", format, args...)
}
