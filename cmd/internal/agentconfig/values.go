package agentconfig

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"dalang/cmd/internal/config"
	"dalang/orchestrator/agent/action"
)

// list splits at commas. It is never nil: what is given empty is empty.
func list(value string) []string {
	all := []string{}
	for _, item := range strings.Split(value, ",") {
		if item = strings.TrimSpace(item); item != "" {
			all = append(all, item)
		}
	}
	return all
}

func text(field func(*loading) *string) func(*loading, string) error {
	return func(l *loading, value string) error {
		*field(l) = value
		return nil
	}
}

func setURIs(l *loading, value string) error {
	l.Settings.PrimaryURIs = list(value)
	for _, item := range l.Settings.PrimaryURIs {
		if u, err := url.Parse(item); err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
			return fmt.Errorf("%q is not https://host:port", item)
		}
	}
	return nil
}

func setModules(l *loading, value string) error {
	switch value {
	case "all":
		l.Modules = action.Modules()
		return nil
	case "none":
		l.Modules = []string{}
		return nil
	}
	l.Modules = list(value)
	for _, m := range l.Modules {
		if !slices.Contains(action.Modules(), m) {
			return fmt.Errorf("there is no module %q; there are %s", m, strings.Join(action.Modules(), ", "))
		}
	}
	return nil
}

func setNumber(l *loading, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is not a number from 1 on", value)
	}
	l.MaxRuns = n
	return nil
}

func setDuration(key string) func(*loading, string) error {
	return func(l *loading, value string) error {
		var d config.Duration
		if err := d.UnmarshalText([]byte(value)); err != nil {
			return err
		}
		if d <= 0 {
			return errors.New("it must be more than nothing")
		}
		switch key {
		case "timeout":
			l.Settings.Timeout = time.Duration(d)
		case "kill-grace":
			l.Settings.Grace = time.Duration(d)
		case "keep":
			l.Keep = time.Duration(d)
		}
		return nil
	}
}

func setSize(l *loading, value string) error {
	var s config.Size
	if err := s.UnmarshalText([]byte(value)); err != nil {
		return err
	}
	if s <= 0 {
		return errors.New("it must be more than nothing")
	}
	l.Settings.MaxOutput = int64(s)
	return nil
}

func setInterpreters(l *loading, value string) error {
	l.Settings.Interpreters = map[string]string{}
	for _, pair := range list(value) {
		extension, program, ok := strings.Cut(pair, "=")
		if !ok || !strings.HasPrefix(extension, ".") || !filepath.IsAbs(program) {
			return fmt.Errorf("%q is not .extension=/path/of/program", pair)
		}
		l.Settings.Interpreters[extension] = program
	}
	return nil
}
