// Package broker connects agents and controllers: it serves the Puppet
// Communication Protocol (package pcp) over websockets, and hands messages on.
// Delivery is best effort; nothing is kept for peers that are absent.
//
// # Connections
//
//	/pcp2, /pcp2/, /pcp2/<type>   version 2, text frames
//	/pcp,  /pcp/,  /pcp/<type>    version 1, binary frames
//
// The client type is agent unless the path says otherwise. The certname is the
// common name of the verified client certificate; what a message says of its
// sender must name it too, and is replaced by the URI of the connection. A
// second connection for a URI takes the place of the first. A User-Agent that is
// pcp.OwnAgent tells that the agent is our own.
//
// Connections end with these codes:
//
//	1001  the server goes away: connect again
//	1008  idle, or too slow to take what is sent to it
//	1009  a message over the limit, or too many large ones at a time
//	1011  the broker does not run, or a fault of its own
//	1012  the certificate has been revoked, or has expired
//	1013  too many connections, in all or of this certname, or others send too
//	      many large messages
//	4000  superseded by another connection with the same URI
//	4002  association unsuccessful: the type is server, or that of a peer in this process
//	4003  no client certificate
//
// # Association
//
// Connecting associates. The associate_request that peers of version 1 send is
// answered with success if it is for the URI that the connection has.
//
// # Who may send what
//
//	type                                                   from          to
//	associate_request                                      all           pcp:///server
//	rpc_{blocking,non_blocking,provisional}_response       all           controllers
//	rpc_error_message, error_message                       all           controllers
//	inventory_request                                      controllers   pcp:///server
//	rpc_{blocking,non_blocking}_request                    controllers   all
//
// Controllers are peers in this process and those whose certname
// Config.Controllers holds. Everything else is answered with the error_message
// "Message not authorized."; other answers are "Could not decode message",
// "Message not authenticated.", "Multiple recipients no longer supported.",
// "Not connected." and "The target does not keep up.". An error_message is
// never answered. pcp://<Name>/server is pcp:///server.
//
// # Inventory
//
// inventory_request takes {"query":[patterns],"subscribe":bool} and is answered
// with the URIs that are connected; a * stands for a whole part of a URI. With
// subscribe, changes follow as inventory_update about once a second, those
// after the response and no others, until the connection ends or asks without.
//
// # What protects the others from one peer
//
// Each session has one goroutine that reads. Another writes, and lives only
// while something is to be written, from a queue that is bounded in messages and
// bytes. A peer that does not take what it is sent is disconnected: when a
// message takes too long to write, or the queue is full for what the broker or
// a peer in this process sends; what other peers send is refused instead.
// Reading is slowed down to a rate per certname: connections, messages, pings,
// bytes and reads from the network have their prices. A message grows in
// memory as it arrives; beyond 64 KiB it takes from a budget that all
// connections share, and of which one certname gets two messages' worth.
// It has to keep arriving at some speed. A certname has a few sessions at most.
// Ending a connection takes a dozen seconds at most, whatever the peer does.
package broker
