package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the front end. Labels are route templates, never paths: their
// number is that of the route table.
type metrics struct {
	// requests counts answers, by route, method and status.
	requests *prometheus.CounterVec
	// seconds is the time from the request's header to the end of its answer.
	seconds *prometheus.HistogramVec
	// bytes counts bytes of answers as sent, compressed or not.
	bytes *prometheus.CounterVec
	// handshakes counts TLS handshakes that had to wait, or were refused.
	handshakes *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dalang_http_requests_total",
			Help: "Requests answered, by route, method and status.",
		}, []string{"route", "method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "dalang_http_request_seconds",
			Help:    "Time to answer a request, by route.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120},
		}, []string{"route"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dalang_http_response_bytes_total",
			Help: "Bytes of answers as sent, by route.",
		}, []string{"route"}),
		handshakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dalang_tls_handshakes_limited_total",
			Help: "TLS handshakes that waited (late) or were refused, because earlier ones of the same address came to nothing.",
		}, []string{"outcome"}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.seconds, m.bytes, m.handshakes)
	}
	return m
}

func (m *metrics) observe(route, method string, status int, took time.Duration, bytes int64) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other" // a client must not make labels
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
	m.bytes.WithLabelValues(route).Add(float64(bytes))
}
