package rbac

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// The users that there are from the beginning: whom allowlisted certificates
// act as, and who administers. Neither can be deleted.
var (
	APIUser = uuid.MustParse("af94921f-bd76-4b58-b5ce-e17c029a2790")
	Admin   = uuid.MustParse("42bf351c-f9ec-40af-84ad-e976fec7f4bd")
)

// APILogin is the login of APIUser.
const APILogin = "api_user"

// Administrators is the id of the role that has all permissions. It cannot be
// changed but for its members.
const Administrators = 1

// User is somebody who may log in or have tokens.
type User struct {
	ID                        uuid.UUID
	Login, Email, DisplayName string
	Password                  string // its hash; "": no password lets in
	Superuser                 bool   // by birth; a role can make one too
	Revoked                   bool
	RoleIDs                   []int64
	Created, LastLogin        time.Time
}

// Role is a set of permissions that users can have.
type Role struct {
	ID                int64
	Name, Description string
	Permissions       []Permission
	UserIDs           []uuid.UUID
}

// Permission allows an action on an object; "*" stands for all.
type Permission struct {
	ObjectType string `json:"object_type"`
	Action     string `json:"action"`
	Instance   string `json:"instance"`
}

func (p Permission) String() string { return p.ObjectType + ":" + p.Action + ":" + p.Instance }

// ParsePermission reads "object_type:action:instance". The instance may hold
// colons, as names of tasks do.
func ParsePermission(text string) (Permission, error) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 {
		return Permission{}, Invalid("a permission is object_type:action:instance, such as puppet_agent:run:*, and not %.80q", text)
	}
	p := Permission{parts[0], parts[1], parts[2]}
	return p, p.check()
}

// covers tells whether p allows what is asked of one instance.
func (p Permission) covers(objectType, action, instance string) bool {
	return (p.ObjectType == "*" || p.ObjectType == objectType) &&
		(p.Action == "*" || p.Action == action) && (p.Instance == "*" || p.Instance == instance)
}

var (
	loginForm = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._@+\\-]*\z`)
	wordForm  = regexp.MustCompile(`\A(?:\*|[a-z][a-z0-9_]*)\z`)
)

// isWord tells whether text is the name of a type or an action. (A regular
// expression that counts would be two hundred kilobytes.)
func isWord(text string) bool { return len(text) <= 64 && wordForm.MatchString(text) }

func (p Permission) check() error {
	switch {
	case !isWord(p.ObjectType):
		return Invalid("object_type must be a word of a-z, 0-9 and _, or *, and is %.80q", p.ObjectType)
	case !isWord(p.Action):
		return Invalid("action must be a word of a-z, 0-9 and _, or *, and is %.80q", p.Action)
	case p.Instance == "" || strings.ContainsFunc(p.Instance, unprintable):
		return Invalid("instance must be a name or *, and is %.80q", p.Instance)
	}
	return checkText("instance", p.Instance, 512)
}

func unprintable(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }

// checkText bounds a text that people write.
func checkText(key, text string, most int) error {
	switch {
	case len(text) > most:
		return Invalid("%s must have at most %d bytes, and has %d", key, most, len(text))
	case !utf8.ValidString(text):
		return Invalid("%s must be UTF-8", key)
	}
	return nil
}

func (u *User) check() error {
	if len(u.Login) > 255 || !loginForm.MatchString(u.Login) {
		return Invalid(`login must be 1 to 255 of A-Z a-z 0-9 . _ @ + \ -, beginning with a letter or digit, and is %.80q`, u.Login)
	}
	return firstError(checkText("email", u.Email, 1<<10), checkText("display_name", u.DisplayName, 1<<10))
}

// maxPermissions bounds a role.
const maxPermissions = 10_000

func (r *Role) check() error {
	if strings.TrimSpace(r.Name) == "" {
		return Invalid("display_name must not be empty")
	}
	if len(r.Permissions) > maxPermissions {
		return Invalid("a role has at most %d permissions", maxPermissions)
	}
	for _, p := range r.Permissions {
		if err := p.check(); err != nil {
			return err
		}
	}
	return firstError(checkText("display_name", r.Name, 1<<10), checkText("description", r.Description, 4<<10))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// LoginKey is what logins are compared by: Admin and admin are the same.
func LoginKey(login string) string { return strings.ToLower(login) }
