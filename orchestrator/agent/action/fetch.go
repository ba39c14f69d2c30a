package action

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// file is one that a request refers to.
type file struct {
	Filename string `json:"filename"`
	SHA256   string `json:"sha256"`
	URI      *uri   `json:"uri"`
}

type uri struct {
	Path   string            `json:"path"`
	Params map[string]string `json:"params"`
}

var shaShape = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

// check refuses what upstream's agent would, and names that lead elsewhere.
func (f *file) check(where string) error {
	switch {
	case !filepath.IsLocal(f.Filename) || strings.HasSuffix(f.Filename, "/"):
		return fmt.Errorf("%s: filename %.200q must be a relative path without ..", where, f.Filename)
	case !shaShape.MatchString(f.SHA256):
		return fmt.Errorf("%s: sha256 of %s must be 64 hexadecimal digits", where, f.Filename)
	case f.URI == nil || f.URI.Path == "":
		return fmt.Errorf("%s: %s has no uri.path", where, f.Filename)
	}
	return nil
}

// What a download may take.
const (
	fetchAttempts = 5
	fetchTimeout  = 30 * time.Minute
	fetchLimit    = 1 << 30 // bytes
	execMode      = 0o750
)

// fetcher gets files from the servers and keeps them.
type fetcher struct {
	settings *Settings
	client   *http.Client // made when needed
}

func newFetcher(s *Settings) *fetcher { return &fetcher{settings: s} }

// cached answers the path of a file in the cache, whose content is proved.
func (f *fetcher) cached(ctx context.Context, want file) (string, error) {
	sum := strings.ToLower(want.SHA256)
	dir := filepath.Join(f.settings.Cache, sum)
	if err := os.MkdirAll(dir, execMode); err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	now := time.Now()
	if err := os.Chtimes(dir, now, now); err != nil { // it is in use: see Purge
		return "", fmt.Errorf("cache: %w", err)
	}
	target := filepath.Join(dir, filepath.Base(want.Filename))
	if hashOf(target) == sum {
		return target, nil
	}
	return target, f.fetch(ctx, want, sum, dir, target)
}

// fetch downloads a file into dir, and moves it to target once it is proved.
func (f *fetcher) fetch(ctx context.Context, want file, sum, dir, target string) error {
	endpoint, err := f.endpoint(want.URI)
	if err != nil {
		return fmt.Errorf("%s: %w", want.Filename, err)
	}
	if len(f.settings.PrimaryURIs) == 0 {
		return fmt.Errorf("%s: no primary-uris are configured to fetch it from", want.Filename)
	}
	pause := f.settings.RetryPause
	for attempt := 1; ; attempt++ {
		if err = f.try(ctx, endpoint, sum, dir, target); err == nil {
			return nil
		}
		if attempt == fetchAttempts || ctx.Err() != nil {
			return fmt.Errorf("%s could not be fetched: %w", want.Filename, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// endpoint is path and query of a URL, if the path is one that we may fetch.
func (f *fetcher) endpoint(u *uri) (string, error) {
	parsed, err := url.Parse(u.Path)
	if err != nil || parsed.IsAbs() || parsed.Host != "" || parsed.RawQuery != "" || parsed.Fragment != "" || path.Clean(parsed.Path) != parsed.Path {
		return "", fmt.Errorf("uri.path %.200q is not a plain absolute path", u.Path)
	}
	allowed := false
	for _, prefix := range f.settings.DownloadPaths {
		allowed = allowed || strings.HasPrefix(parsed.Path, prefix)
	}
	if !allowed {
		return "", fmt.Errorf("uri.path %.200q is not below one of download-paths", u.Path)
	}
	query := url.Values{}
	for name, value := range u.Params {
		query.Set(name, value)
	}
	parsed.RawQuery = query.Encode()
	return parsed.String(), nil
}

// try asks one server after the other.
func (f *fetcher) try(ctx context.Context, endpoint, sum, dir, target string) error {
	var errs []error
	for _, server := range f.settings.PrimaryURIs {
		err := f.download(ctx, strings.TrimSuffix(server, "/")+endpoint, sum, dir, target)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", server, err))
	}
	return errors.Join(errs...)
}

func (f *fetcher) download(ctx context.Context, from, sum, dir, target string) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	res, err := f.get(ctx, from)
	if err != nil {
		return err
	}
	defer res.Body.Close() // what was needed has been read
	if res.StatusCode != http.StatusOK {
		words, _ := io.ReadAll(io.LimitReader(res.Body, 200)) // the status says enough
		return fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(text(words)))
	}
	tmp, err := os.CreateTemp(dir, "fetch-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // not there any more if all went well
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(tmp, hash), io.LimitReader(res.Body, fetchLimit+1))
	err = errors.Join(err, tmp.Chmod(execMode), tmp.Close())
	switch got := hex.EncodeToString(hash.Sum(nil)); {
	case err != nil:
		return err
	case n > fetchLimit:
		return fmt.Errorf("it has more than %d bytes", fetchLimit)
	case got != sum:
		return fmt.Errorf("its SHA-256 is %s, and not %s", got, sum)
	}
	return move(tmp.Name(), target)
}

func (f *fetcher) get(ctx context.Context, from string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	if req.URL.Scheme != "https" {
		return nil, errors.New("files are fetched over https only")
	}
	req.Header.Set("Accept", "application/octet-stream, */*")
	if f.client == nil {
		conf, err := f.settings.Files.Client()
		if err != nil {
			return nil, err
		}
		f.client = &http.Client{
			Transport:     &http.Transport{TLSClientConfig: conf, TLSHandshakeTimeout: 30 * time.Second, ResponseHeaderTimeout: 2 * time.Minute, DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return f.client.Do(req)
}

// move renames, or copies where that crosses file systems.
func move(from, to string) error {
	err := os.Rename(from, to)
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	return copyFile(from, to)
}

// copyFile makes to complete or leaves it alone.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() // read only
	tmp, err := os.CreateTemp(filepath.Dir(to), ".fetch-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // not there any more if all went well
	_, err = io.Copy(tmp, in)
	if err := errors.Join(err, tmp.Chmod(execMode), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), to)
}

// hashOf is the SHA-256 of a file, or "".
func hashOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close() // read only
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return ""
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// Purge removes files from a cache that nobody has used since.
func Purge(cache string, since time.Time) error {
	entries, err := os.ReadDir(cache)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().Before(since) {
			errs = append(errs, os.RemoveAll(filepath.Join(cache, e.Name())))
		}
	}
	return errors.Join(errs...)
}
