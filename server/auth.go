package server

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"dalang/server/pdb"
)

// AuthConfig says who may do what over TLS. Each file lists one common name
// per line, exactly as it stands in the certificate. Files are read once.
// Cleartext requests always pass: without AllowCleartext they are local.
type AuthConfig struct {
	// Allowlist may use /pdb/* at all (certificate-allowlist). Empty: every
	// client that the listener lets in.
	Allowlist string
	// Submitters, Readers and Admins narrow that down for /pdb/cmd, for
	// /pdb/admin, and for the rest of /pdb. Empty: no narrower than Allowlist.
	Submitters, Readers, Admins string
	// OpenMetrics serves /metrics over TLS to clients without a certificate.
	OpenMetrics bool
}

// allowlist is a set of common names; nil lets everybody in.
type allowlist struct {
	path  string
	names map[string]bool
}

func readAllowlist(path string) (*allowlist, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("server: certificate allowlist: %w", err)
	}
	defer f.Close()
	a := &allowlist{path: path, names: map[string]bool{}}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if line := strings.TrimSuffix(lines.Text(), "\r"); line != "" {
			a.names[line] = true
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("server: certificate allowlist %s: %w", path, err)
	}
	return a, nil
}

// authorizer decides by scheme, path and the certificate's common name.
type authorizer struct {
	all, submit, read, admin *allowlist
	openMetrics              bool
	logger                   *slog.Logger
}

func newAuthorizer(cfg AuthConfig, logger *slog.Logger) (*authorizer, error) {
	a := &authorizer{openMetrics: cfg.OpenMetrics, logger: logger}
	var errs []error
	for _, list := range []struct {
		path string
		into **allowlist
	}{{cfg.Allowlist, &a.all}, {cfg.Submitters, &a.submit}, {cfg.Readers, &a.read}, {cfg.Admins, &a.admin}} {
		var err error
		*list.into, err = readAllowlist(list.path)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return a, nil
}

// check answers nil when the request may go on.
func (a *authorizer) check(r *http.Request) error {
	path := r.URL.Path
	if strings.HasPrefix(path, filesPath) && commonName(r) == "" {
		// Modules may hold what is not for everybody: also locally.
		return pdb.Textf(http.StatusForbidden, "Forbidden request: %s (method :%s). It needs a client certificate.", path, strings.ToLower(r.Method))
	}
	if r.TLS == nil {
		return nil
	}
	switch {
	case isPDB(path):
		if err := a.in(a.all, r); err != nil {
			return err
		}
		return a.in(a.role(path), r)
	case path == "/metrics" || strings.HasPrefix(path, "/metrics/"):
		// Upstream's auth.conf: any authenticated client.
		if !a.openMetrics && len(r.TLS.PeerCertificates) == 0 {
			return pdb.Textf(http.StatusForbidden, "Forbidden request: %s (method :%s). Please see the server logs for details.",
				path, strings.ToLower(r.Method))
		}
	}
	return nil
}

// role is the narrower list for a path below /pdb.
func (a *authorizer) role(path string) *allowlist {
	for _, p := range []struct {
		prefix string
		list   *allowlist
	}{{"/pdb/cmd", a.submit}, {"/pdb/admin", a.admin}} {
		if path == p.prefix || strings.HasPrefix(path, p.prefix+"/") {
			return p.list
		}
	}
	return a.read
}

// in answers 403 in upstream's words when the client is not in the list.
func (a *authorizer) in(list *allowlist, r *http.Request) error {
	if list == nil {
		return nil
	}
	cn := commonName(r)
	if cn != "" && list.names[cn] {
		return nil
	}
	if cn == "" {
		cn = "null"
	} else {
		a.logger.LogAttrs(r.Context(), slog.LevelWarn, "rejected by certificate allowlist",
			slog.String("client", cn), slog.String("allowlist", list.path))
	}
	return pdb.Textf(http.StatusForbidden, "Permission denied: The client certificate name %s doesn't appear in the "+
		"certificate allowlist. Is your master's (or other PuppetDB client's) certname listed in PuppetDB's "+
		"certificate-allowlist file?", cn)
}

// commonName is the CN of the client's verified certificate, empty without one.
func commonName(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	return r.TLS.PeerCertificates[0].Subject.CommonName
}
