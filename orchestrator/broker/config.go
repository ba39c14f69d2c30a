package broker

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dalang/orchestrator/pcp"
)

// Config says who the broker is and what it allows. Name is required.
type Config struct {
	// Name is our certname: local peers are pcp://<Name>/<type>.
	Name string
	// Controllers are the certnames, besides ours, that may give orders to agents.
	Controllers []string
	// Identify tells who connects. Default: VerifiedCertificate.
	Identify func(*http.Request) (Identity, error)
	// Refused is told of connections that are turned away. Nil: nobody is.
	Refused func(*http.Request)
	// CRL is a PEM file of revocation lists, CA one of the certificates that
	// sign them. They are read again when they change; sessions whose
	// certificate was revoked end. Empty: nothing is revoked.
	CRL, CA string

	MaxMessage int64         // bytes of one message from a peer; default pcp.MaxMessage
	MaxToPeer  int           // bytes of one message to a peer; default pcp.MaxToAgent
	Budget     int64         // bytes of large messages that arrive at a time; default 8 × MaxMessage
	Rate       int           // messages a second of one certname in the long run, 64 KiB counting as one; default 50
	Burst      int           // and at once; below QueueLen, so that nobody fills another's queue alone; default 500
	Sessions   int           // connections at a time; default 50 000
	PerName    int           // connections of one certname at a time; default 8
	QueueLen   int           // messages that wait for one peer; default 1000
	QueueBytes int           // bytes that wait for one peer; default 64 MiB
	Idle       time.Duration // a session without a sign of life ends; default 6 min
	Ping       time.Duration // silent peers are pinged; default 1 min
	// Grace is how long a message may take in either direction, and one second
	// more for each 256 KiB. Default 1 min.
	Grace time.Duration
	// Farewell is how long the end of a connection may take. Default 12 s: the
	// close frame and its answer have 5 s each.
	Farewell time.Duration

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

func (c *Config) applyDefaults() error {
	if c.Name == "" || strings.Contains(c.Name, "/") {
		return fmt.Errorf("broker: the name must be a certname, and is %q", c.Name)
	}
	orInt64(&c.MaxMessage, pcp.MaxMessage)
	orInt64(&c.Budget, 8*c.MaxMessage)
	or(&c.MaxToPeer, pcp.MaxToAgent)
	or(&c.Rate, 50)
	or(&c.Burst, 500)
	or(&c.Sessions, 50_000)
	or(&c.PerName, 8)
	or(&c.QueueLen, 1000)
	or(&c.QueueBytes, 64<<20)
	orTime(&c.Idle, 6*time.Minute)
	orTime(&c.Ping, time.Minute)
	orTime(&c.Grace, time.Minute)
	orTime(&c.Farewell, 12*time.Second)
	if c.Identify == nil {
		c.Identify = VerifiedCertificate
	}
	if c.Refused == nil {
		c.Refused = func(*http.Request) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Budget < c.share() {
		return fmt.Errorf("broker: the budget must be at least two messages of the largest size, %d bytes, and is %d", c.share(), c.Budget)
	}
	if c.Burst >= c.QueueLen {
		return fmt.Errorf("broker: the burst must be less than the length of the queue, %d, and is %d", c.QueueLen, c.Burst)
	}
	return nil
}

// share is how much of the budget one certname gets: for one message that is
// moved to a bigger buffer.
func (c *Config) share() int64 { return 2 * (c.MaxMessage + spare) }

func or(v *int, fallback int) {
	if *v <= 0 {
		*v = fallback
	}
}

func orInt64(v *int64, fallback int64) {
	if *v <= 0 {
		*v = fallback
	}
}

func orTime(v *time.Duration, fallback time.Duration) {
	if *v <= 0 {
		*v = fallback
	}
}

// Identity is who is at the other end of a connection.
type Identity struct {
	Certname string
	// Chains are the verified chains of the certificate; nil if there is none,
	// and then nothing can be revoked.
	Chains [][]*x509.Certificate
}

// ErrNoCertificate: the peer has not shown a certificate that we can verify.
var ErrNoCertificate = errors.New("no verified client certificate")

// VerifiedCertificate identifies a peer by its TLS certificate, which the
// listener must have verified. It is the default of Config.Identify.
func VerifiedCertificate(r *http.Request) (Identity, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return Identity{}, ErrNoCertificate
	}
	return Identity{Certname: r.TLS.PeerCertificates[0].Subject.CommonName, Chains: r.TLS.VerifiedChains}, nil
}
