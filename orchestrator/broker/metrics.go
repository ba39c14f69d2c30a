package broker

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"dalang/orchestrator/pcp"
)

// metrics of a broker. Labels are from fixed sets: peers make none.
type metrics struct {
	// connections that are open, by version of the protocol.
	connections *prometheus.GaugeVec
	// refused connections, by reason: certificate, revoked, type, limit, stopped.
	refused *prometheus.CounterVec
	// closed connections, by reason: peer, lost, idle, slow, stalled, size,
	// superseded, revoked, expired, type, shutdown, panic.
	closed *prometheus.CounterVec
	// received messages, by type.
	received *prometheus.CounterVec
	// receivedBytes of all frames.
	receivedBytes prometheus.Counter
	// sent messages of peers in this process, by type.
	sent *prometheus.CounterVec
	// rejected messages, by reason: frame, sender, rules, multicast, absent, full, size.
	rejected *prometheus.CounterVec
	// held: times that a peer was held back because it sends too much.
	held prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "dalang_pcp_connections",
			Help: "Connections of agents and controllers, by version of the protocol.",
		}, []string{"version"}),
		refused:       counters("dalang_pcp_refused_total", "Connections refused, by reason.", "reason"),
		closed:        counters("dalang_pcp_closed_total", "Connections that ended, by reason.", "reason"),
		received:      counters("dalang_pcp_received_total", "Messages of connected peers, by type.", "type"),
		receivedBytes: counter("dalang_pcp_received_bytes_total", "Bytes of the messages of connected peers."),
		sent:          counters("dalang_pcp_sent_total", "Messages of the orchestrator to agents, by type.", "type"),
		rejected:      counters("dalang_pcp_rejected_total", "Messages that were not handed on, by reason.", "reason"),
		held:          counter("dalang_pcp_held_back_total", "Times that a peer was held back because it sends too much."),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.connections, m.refused, m.closed, m.received, m.receivedBytes, m.sent, m.rejected, m.held} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// typeLabel is the short name of a type that we know, or other.
func typeLabel(messageType string) string {
	switch messageType {
	case pcp.AssociateRequest, pcp.AssociateResponse, pcp.InventoryRequest, pcp.InventoryResponse, pcp.InventoryUpdate, pcp.ErrorMessage,
		pcp.BlockingRequest, pcp.BlockingResponse, pcp.NonBlockingRequest, pcp.NonBlockingResponse, pcp.ProvisionalResponse, pcp.RPCError:
		return messageType[strings.LastIndexByte(messageType, '/')+1:]
	}
	return "other"
}
