package rbac

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
)

// Mode is how requests show whose they are.
type Mode string

// The modes; see the package's documentation.
const (
	ByToken       Mode = "tokens"
	ByCertificate Mode = "certs-only"
	Off           Mode = "off"
)

// Modes lists all.
func Modes() []Mode { return []Mode{ByToken, ByCertificate, Off} }

// Check refuses a mode that there is not, and mode off where other machines
// can reach one of the addresses that the server listens on. Empty addresses
// are none.
func (m Mode) Check(addresses ...string) error {
	switch m {
	case ByToken, ByCertificate:
		return nil
	case Off:
	default:
		return fmt.Errorf("the mode of authentication must be %s, %s or %s, not %q", ByToken, ByCertificate, Off, string(m))
	}
	for _, a := range addresses {
		if a == "" {
			continue
		}
		tcp, err := net.ResolveTCPAddr("tcp", a)
		if err != nil {
			return fmt.Errorf("%q is no address: %w", a, err)
		}
		if !tcp.IP.IsLoopback() {
			return fmt.Errorf("refusing to let everybody in on %s, which other machines can reach: "+
				"mode off is for loopback addresses; use %s or %s", a, ByToken, ByCertificate)
		}
	}
	return nil
}

// ReadAllowlist reads the common names whose certificates act as api_user: one
// a line, exactly as in the certificate. "" is no file, and nobody.
func ReadAllowlist(path string) (map[string]bool, error) {
	names := map[string]bool{}
	if path == "" {
		return names, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("rbac: certificate allowlist: %w", err)
	}
	defer f.Close() // read only: nothing to lose
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
			names[line] = true
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("rbac: certificate allowlist %s: %w", path, err)
	}
	return names, nil
}
