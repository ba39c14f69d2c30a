package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"dalang/orchestrator/agent/action"
	"dalang/orchestrator/pcp"
)

// Config says where the brokers are, who we are, and what may be run. Brokers,
// Data and Settings.Files are required.
type Config struct {
	Brokers []string // wss URLs, tried in order; a path without client type gets "agent"
	Data    string   // directory of spool and cache
	// Modules that may be used; nil: all of action.Modules.
	Modules []string
	// Controllers are the certnames that may ask; none: all that the broker lets.
	Controllers []string
	Settings    action.Settings // unset fields get defaults

	MaxRuns    int           // at a time; default 32
	Keep       time.Duration // how long transactions are remembered; default 14 days
	Ping       time.Duration // between pings; default 1 min
	Pong       time.Duration // how long the broker may take to answer one; default 30 s
	Dial       time.Duration // how long a connection may take; default 30 s
	Pause      time.Duration // first pause between attempts; default 1 s
	MaxPause   time.Duration // default 30 s
	MaxMessage int           // bytes that we send; default pcp.MaxMessage
	// LockPatience is how long to wait for an earlier agent's lock of Data;
	// default 3 s.
	LockPatience time.Duration

	// Worker is the command line that ends up in Work; default: this program's
	// `agent worker`.
	Worker []string

	// Ready is called once the spool is open, Status when the connection changes.
	Ready  func()
	Status func(text string)
	Logger *slog.Logger
	Now    func() time.Time
}

func (c *Config) applyDefaults() error {
	if err := c.check(); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	orInt(&c.MaxRuns, 32)
	orInt(&c.MaxMessage, pcp.MaxMessage)
	or(&c.Keep, 14*24*time.Hour)
	or(&c.Ping, time.Minute)
	or(&c.Pong, 30*time.Second)
	or(&c.Dial, 30*time.Second)
	or(&c.Pause, time.Second)
	or(&c.MaxPause, 30*time.Second)
	or(&c.LockPatience, 3*time.Second)
	if c.Modules == nil {
		c.Modules = action.Modules()
	}
	if c.Worker == nil {
		// The program that runs, even after its file has been replaced.
		c.Worker = []string{self(), "agent", "worker"}
	}
	c.settings()
	if c.Ready == nil {
		c.Ready = func() {}
	}
	if c.Status == nil {
		c.Status = func(string) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

func (c *Config) settings() {
	s := &c.Settings
	or(&s.Grace, 10*time.Second)
	or(&s.LockWait, 10*time.Minute)
	or(&s.RetryPause, time.Second)
	if s.MaxOutput <= 0 {
		s.MaxOutput = 16 << 20
	}
	if s.Cache == "" {
		s.Cache = c.Data + "/cache"
	}
	if s.DownloadPaths == nil {
		s.DownloadPaths = []string{"/puppet/v3/file_content/", "/puppet/v3/static_file_content/"}
	}
	if s.Puppet == "" {
		s.Puppet = findPuppet()
	}
}

// findPuppet prefers that of Puppet's own packages.
func findPuppet() string {
	const packaged = "/opt/puppetlabs/bin/puppet"
	if _, err := os.Stat(packaged); err == nil {
		return packaged
	}
	return "puppet" // of PATH
}

func (c *Config) check() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("no brokers"))
	}
	for i, broker := range c.Brokers {
		full, err := brokerURL(broker)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c.Brokers[i] = full
	}
	if c.Data == "" {
		errs = append(errs, errors.New("no data directory"))
	}
	for _, m := range c.Modules {
		if !slices.Contains(action.Modules(), m) {
			errs = append(errs, fmt.Errorf("unknown module %q; there are %s", m, strings.Join(action.Modules(), ", ")))
		}
	}
	if f := c.Settings.Files; f.CA == "" || f.Cert == "" || f.Key == "" {
		errs = append(errs, errors.New("no certificate, key or CA"))
	}
	return errors.Join(errs...)
}

// brokerURL completes wss://host:port to wss://host:port/pcp2/agent.
func brokerURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "wss" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("broker %q: want wss://host:port/pcp2/", text)
	}
	switch strings.TrimSuffix(u.Path, "/") {
	case "", "/pcp2":
		u.Path = "/pcp2/" + pcp.AgentType
	case "/pcp":
		return "", fmt.Errorf("broker %q: this agent speaks version 2 only: want the path /pcp2/", text)
	}
	return u.String(), nil
}

func or(v *time.Duration, fallback time.Duration) {
	if *v <= 0 {
		*v = fallback
	}
}

func orInt(v *int, fallback int) {
	if *v <= 0 {
		*v = fallback
	}
}
