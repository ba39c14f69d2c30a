package rbac

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Hash is the SHA-256 of a token: all that is stored of it.
type Hash [sha256.Size]byte

// Token is a token as it is stored.
type Token struct {
	ID                         int64
	Hash                       Hash
	UserID                     uuid.UUID
	Login                      string // of the user; read only
	Description, Client, Label string
	Created, Expires           time.Time
	LastActive                 time.Time // to the minute
	Revoked                    time.Time // zero: it is not
}

// TokenRequest says what a new token is like.
type TokenRequest struct {
	Lifetime                   string // "": the configured default
	Description, Client, Label string
}

const (
	tokenPrefix = "dalang_"
	noKeepalive = "|no_keepalive"
	maxToken    = 256 // bytes; longer ones are nobody's
	tenYears    = 10 * year
	year        = 365 * day
	day         = 24 * time.Hour
)

// newSecret makes a token that nobody can guess.
func newSecret() string {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // never fails: see crypto/rand
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(bits[:])
}

func hashToken(token string) Hash { return sha256.Sum256([]byte(token)) }

// splitToken takes the suffix off that says that the use does not count.
func splitToken(given string) (token string, keepalive bool) {
	token, quiet := strings.CutSuffix(given, noKeepalive)
	return token, !quiet
}

// ParseLifetime reads how long a token is to live: 90, 90s, 15m, 4h, 30d, 1y;
// 0 stands for ten years, which is also the most.
func ParseLifetime(text string) (time.Duration, error) {
	digits := strings.TrimRight(text, "ydhms")
	unit := map[string]time.Duration{"": time.Second, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": day, "y": year}[text[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || unit == 0 {
		return 0, Invalid("lifetime must be a number with one of y d h m s behind it, such as 30d, or of seconds, and is %.80q", text)
	}
	if n == 0 {
		return tenYears, nil
	}
	if n > uint64(tenYears/unit) {
		return 0, Invalid("lifetime must be at most ten years, and is %.80q", text)
	}
	return time.Duration(n) * unit, nil
}

func (r TokenRequest) check() error {
	return firstError(checkText("description", r.Description, 4<<10), checkText("client", r.Client, 1<<10), checkText("label", r.Label, 200))
}
