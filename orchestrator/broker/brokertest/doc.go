// Package brokertest serves a broker over TLS on loopback, and connects to it,
// for tests of the broker and of what stands on it: certificates, a server,
// clients that speak the protocol, and clients that do not.
package brokertest
