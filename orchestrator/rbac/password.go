package rbac

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// cost is how dear a guess is: 19 MiB and two passes, which take some 30 ms.
type cost struct {
	memory, time uint32 // KiB, passes
	lanes        uint8
}

func defaultCost() cost { return cost{memory: 19 << 10, time: 2, lanes: 1} }

const (
	saltBytes = 16
	hashBytes = 32
	minLength = 8 // characters of a password
	maxLength = 1 << 10
)

// passwords hashes, a few at a time: each takes its memory.
type passwords struct {
	cost  cost
	slots chan struct{}
	// stranger is checked where there is no user, or none with a password, so
	// that both take as long.
	stranger string
	// computed, for tests, is told of every hash that is computed.
	computed func()
}

func newPasswords(c cost, atOnce int, computed func()) *passwords {
	if computed == nil {
		computed = func() {}
	}
	p := &passwords{cost: c, slots: make(chan struct{}, atOnce), computed: computed}
	p.stranger = c.format(randomBytes(saltBytes), randomBytes(hashBytes))
	return p
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: see crypto/rand
	return b
}

func (c cost) key(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, c.time, c.memory, c.lanes, hashBytes)
}

func (c cost) format(salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.time, c.lanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

// parseHash reads what format wrote. Costs beyond what anybody wrote are
// refused: the memory would be taken.
func parseHash(text string) (c cost, salt, key []byte, err error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, fmt.Errorf("the stored password is not argon2id of version %d", argon2.Version)
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.lanes); err != nil || n != 3 ||
		c.memory < 8 || c.memory > 1<<20 || c.time < 1 || c.time > 100 || c.lanes < 1 {
		return c, nil, nil, fmt.Errorf("the stored password has bad parameters")
	}
	salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	if err == nil {
		key, err = base64.RawStdEncoding.DecodeString(parts[5])
	}
	if err != nil || len(salt) < 8 || len(key) != hashBytes {
		return c, nil, nil, fmt.Errorf("the stored password is damaged")
	}
	return c, salt, key, nil
}

// hash makes what is stored of a password.
func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	if n := utf8.RuneCountInString(password); n < minLength || len(password) > maxLength {
		return "", Invalid("password must have %d characters at least and %d bytes at most", minLength, maxLength)
	}
	salt := randomBytes(saltBytes)
	key, err := p.compute(ctx, p.cost, password, salt)
	if err != nil {
		return "", err
	}
	return p.cost.format(salt, key), nil
}

// verify tells whether a password is the one of a stored hash, and whether the
// hash should be made anew. It takes the same time for "" as for any other.
func (p *passwords) verify(ctx context.Context, stored, password string) (ok, stale bool, err error) {
	known := stored != ""
	if !known {
		stored = p.stranger
	}
	c, salt, key, err := parseHash(stored)
	if err != nil {
		return false, false, err
	}
	if len(password) > maxLength {
		password, known = "", false // as dear as any other
	}
	got, err := p.compute(ctx, c, password, salt)
	if err != nil {
		return false, false, err
	}
	same := subtle.ConstantTimeCompare(got, key) == 1
	return same && known, c != p.cost, nil
}

// compute waits for a slot and hashes.
func (p *passwords) compute(ctx context.Context, c cost, password string, salt []byte) ([]byte, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to check a password: %w", context.Cause(ctx))
	}
	defer func() { <-p.slots }()
	p.computed()
	return c.key(password, salt), nil
}
