package broker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/semaphore"

	"dalang/orchestrator/pcp"
)

// Close codes of the protocol, above those of websockets.
const (
	codeSuperseded    websocket.StatusCode = 4000
	codeUnassociated  websocket.StatusCode = 4002
	codeNoCertificate websocket.StatusCode = 4003
)

// What Send answers.
var (
	ErrNotConnected = errors.New("not connected")
	ErrTooLarge     = errors.New("the message is larger than the peer takes")
)

// Local is a peer in this process. Its methods must not block: Receive is
// called by the goroutine that reads from the sender, Presence by the broker's.
type Local interface {
	// Receive takes a message whose Sender the broker has made sure of.
	Receive(m *pcp.Message)
	// Presence tells that a peer has connected or gone. A peer that takes the
	// place of an earlier connection of its own connects again. Calls come in
	// order, one at a time.
	Presence(peer pcp.URI, connected bool)
}

// Broker hands messages on. It is an http.Handler for /pcp* and /pcp2*.
type Broker struct {
	cfg         Config
	controllers map[string]bool // certnames
	metrics     *metrics
	budget      *semaphore.Weighted // bytes of large messages that arrive
	revoked     *revocations        // nil without CRL
	changed     chan struct{}       // of capacity 1: changes has something

	// sessions that read or close; Add only while running is true
	work sync.WaitGroup

	mu       sync.RWMutex // guards all below
	running  bool
	locals   map[string]Local // by URI
	sessions map[string]*session
	peers    map[string]*peer // by certname
	subs     map[*session]*subscription
	changes  []change // not told yet to locals
}

// New checks the configuration and reads the revocation lists.
func New(cfg Config) (*Broker, error) {
	if err := cfg.applyDefaults(); err != nil {
		return nil, err
	}
	b := &Broker{
		cfg: cfg, controllers: map[string]bool{}, budget: semaphore.NewWeighted(cfg.Budget), changed: make(chan struct{}, 1),
		locals: map[string]Local{}, sessions: map[string]*session{}, peers: map[string]*peer{}, subs: map[*session]*subscription{},
	}
	for _, name := range cfg.Controllers {
		b.controllers[name] = true
	}
	var err error
	if cfg.CRL != "" {
		if b.revoked, err = openRevocations(cfg.CRL, cfg.CA); err != nil {
			return nil, err
		}
	}
	b.metrics, err = newMetrics(cfg.Registerer)
	return b, err
}

// Attach makes l the peer pcp://<Name>/<clientType> and answers that URI. Call
// it before Run.
func (b *Broker) Attach(clientType string, l Local) string {
	uri := pcp.URI{Certname: b.cfg.Name, Type: clientType}.String()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.locals[uri] = l
	return uri
}

// URI is the broker's own address, as the inventory of the API shows it.
func (b *Broker) URI() string { return pcp.URI{Certname: b.cfg.Name, Type: "server"}.String() }

// Run lets peers in until ctx ends, and then sends them away: they will be back
// when we are. Without it every connection is refused.
func (b *Broker) Run(ctx context.Context) error {
	b.mu.Lock()
	b.running = true
	b.mu.Unlock()
	b.loop(ctx)
	b.mu.Lock()
	b.running = false
	all := make([]*session, 0, len(b.sessions))
	for _, s := range b.sessions {
		all = append(all, s)
	}
	b.mu.Unlock()
	for _, s := range all {
		s.shut(websocket.StatusGoingAway, "The server goes away.", "shutdown")
	}
	b.work.Wait()
	return nil
}

// loop tells about changes and looks after the sessions.
func (b *Broker) loop(ctx context.Context) {
	updates := time.NewTicker(time.Second)
	defer updates.Stop()
	sweep := time.NewTicker(max(b.cfg.Ping/8, time.Millisecond))
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.changed:
			b.tellLocals()
		case <-updates.C:
			b.tellSubscribers()
		case <-sweep.C:
			b.sweep()
		}
	}
}

// Reload reads the revocation lists again at once and ends the sessions whose
// certificates are revoked. On an error the old lists stay in force.
func (b *Broker) Reload() error {
	if b.revoked == nil {
		return nil
	}
	if err := b.revoked.load(); err != nil {
		return err
	}
	for _, s := range b.all() {
		if b.revoked.cover(s.chains) {
			s.shut(websocket.StatusServiceRestart, "The certificate is revoked.", "revoked")
		}
	}
	return nil
}

func (b *Broker) all() []*session {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]*session, 0, len(b.sessions))
	for _, s := range b.sessions {
		all = append(all, s)
	}
	return all
}

// sweep pings silent peers, ends sessions that are idle or whose certificates
// have expired, and looks for new revocations. It pings a part of all peers at
// a time, so that many who came together are not answered together for ever.
func (b *Broker) sweep() {
	if b.revoked != nil && b.revoked.stale() {
		if err := b.Reload(); err != nil {
			b.cfg.Logger.Error("the revocation lists changed but cannot be used; keeping the old ones", "error", err)
		}
	}
	now, all := b.cfg.Now(), b.all()
	pings := max(64, len(all)/6)
	for _, s := range all {
		switch silent := now.Sub(s.heard()); {
		case !s.expires.IsZero() && now.After(s.expires):
			s.shut(websocket.StatusServiceRestart, "The certificate has expired.", "expired")
		case silent >= b.cfg.Idle:
			s.shut(websocket.StatusPolicyViolation, "Idle for too long.", "idle")
		case silent >= b.cfg.Ping && now.Sub(s.pinged) >= b.cfg.Ping && pings > 0:
			pings--
			s.pinged = now
			s.ping()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, p := range b.peers {
		if p.sessions == 0 && p.full(now) {
			delete(b.peers, name)
		}
	}
}

// path is what the URL may be.
var path = regexp.MustCompile(`^/pcp(2?)(?:/([\w.-]*))?$`)

// ServeHTTP takes a websocket connection. It returns when the handshake is done.
func (b *Broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	match := path.FindStringSubmatch(r.URL.Path)
	if match == nil {
		http.NotFound(w, r)
		return
	}
	version, clientType := pcp.V1, match[2]
	if match[1] == "2" {
		version = pcp.V2
	}
	if clientType == "" {
		clientType = pcp.AgentType
	}
	who, err := b.cfg.Identify(r)
	s := newSession(b, version, pcp.URI{Certname: who.Certname, Type: clientType}, who.Chains, r.RemoteAddr)
	s.own = r.UserAgent() == pcp.OwnAgent
	options := &websocket.AcceptOptions{
		InsecureSkipVerify: true, // peers are no browsers; certificates tell who they are
		OnPingReceived:     s.pingReceived,
		OnPongReceived:     func(ctx context.Context, payload []byte) { s.pingReceived(ctx, payload) },
	}
	var failed error
	if s.conn, failed = websocket.Accept(&hijacker{w, s}, r, options); failed != nil {
		b.cfg.Logger.Debug("no websocket", "remote", r.RemoteAddr, "error", failed)
		return
	}
	code, reason, label := b.enter(s, err)
	if code != 0 {
		b.cfg.Logger.Warn("a peer was refused", "certname", who.Certname, "type", clientType, "remote", r.RemoteAddr, "code", int(code), "reason", reason)
		b.metrics.refused.WithLabelValues(label).Inc()
		b.cfg.Refused(r)
		s.hurry()
		_ = s.conn.Close(code, reason) // it is gone either way
		return
	}
	b.cfg.Logger.Info("a peer connected", "uri", s.uri, "version", int(version), "remote", s.remote)
	go s.run()
}

// enter lets a session in, or tells why not: code, reason, and label of the metric.
func (b *Broker) enter(s *session, unknown error) (websocket.StatusCode, string, string) {
	switch {
	case unknown != nil:
		return codeNoCertificate, "No client certificate.", "certificate"
	case s.peer.Certname == "" || strings.ContainsAny(s.peer.Certname, "/*"):
		return codeNoCertificate, "The certificate has no usable common name.", "certificate"
	case b.revoked != nil && b.revoked.cover(s.chains):
		return websocket.StatusServiceRestart, "The certificate is revoked.", "revoked"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.peers[s.peer.Certname]
	if p == nil {
		p = &peer{tokens: float64(b.cfg.Burst), at: b.cfg.Now()}
		b.peers[s.peer.Certname] = p
	}
	old := b.sessions[s.uri]
	flood := !b.gives(s.peer.Certname) && p.charge(connectPrice, b.cfg.Rate, b.cfg.Burst, b.cfg.Now()) > 0
	switch {
	case !b.running:
		return websocket.StatusInternalError, "The broker is not running.", "stopped"
	case s.peer.Type == "server" || b.locals[s.uri] != nil:
		return codeUnassociated, "Association unsuccessful.", "type"
	case flood || old == nil && (len(b.sessions) >= b.cfg.Sessions || p.sessions >= b.cfg.PerName):
		return websocket.StatusTryAgainLater, "Too many connections.", "limit"
	}
	if old != nil {
		b.remove(old)
		old.shut(codeSuperseded, "superseded", "superseded")
	}
	p.sessions++
	s.limits = p
	b.sessions[s.uri] = s
	b.work.Add(1)
	b.metrics.connections.WithLabelValues(versionLabel(s.version)).Inc()
	b.note(change{peer: s.peer, delta: 1, again: old != nil})
	return 0, "", ""
}

// leave takes a session out, once.
func (b *Broker) leave(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sessions[s.uri] == s {
		b.remove(s)
		b.note(change{peer: s.peer, delta: -1})
	}
}

// remove takes a session out of the tables. Callers hold mu.
func (b *Broker) remove(s *session) {
	delete(b.sessions, s.uri)
	delete(b.subs, s)
	s.limits.sessions--
	b.metrics.connections.WithLabelValues(versionLabel(s.version)).Dec()
}

// Send delivers a message of a peer in this process. ErrNotConnected: nobody is
// there. ErrTooLarge: nothing was sent. Nil means that it will be written if
// the connection holds.
func (b *Broker) Send(m *pcp.Message) error {
	b.metrics.sent.WithLabelValues(typeLabel(m.Type)).Inc()
	local, s := b.find(m.Target)
	switch {
	case local != nil:
		local.Receive(m)
		return nil
	case s == nil:
		return ErrNotConnected
	}
	return s.send(m)
}

// find looks for who has a URI.
func (b *Broker) find(uri string) (Local, *session) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.locals[uri], b.sessions[uri]
}

// Entry is one connection.
type Entry struct {
	Peer    pcp.URI
	Version pcp.Version
	Since   time.Time // it connected
	Remote  string    // its address
	Own     bool      // the agent is our own: pcp.OwnAgent
}

// Inventory lists the connections, sorted by URI.
func (b *Broker) Inventory() []Entry {
	all := b.all()
	slices.SortFunc(all, func(x, y *session) int { return strings.Compare(x.uri, y.uri) })
	entries := make([]Entry, len(all))
	for i, s := range all {
		entries[i] = s.entry()
	}
	return entries
}

// Sessions is the number of connections.
func (b *Broker) Sessions() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.sessions)
}

// Find looks for one connection.
func (b *Broker) Find(peer pcp.URI) (Entry, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := b.sessions[peer.String()]
	if s == nil {
		return Entry{}, false
	}
	return s.entry(), true
}

// Running tells whether peers are let in.
func (b *Broker) Running() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.running
}

func versionLabel(v pcp.Version) string { return fmt.Sprint(int(v)) }
