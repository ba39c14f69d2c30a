// Package pcp is the Puppet Communication Protocol: its messages, and the two
// forms that they have on the wire. It is pure: no connections, no state.
//
// # Messages
//
// A message goes from one URI to another, through a broker:
//
//	pcp://<certname>/<client type>    a peer: pcp://web1.example.com/agent
//	pcp:///server                     the broker itself
//
// Who sends is proved by the TLS certificate of the connection, never by what
// the message says. A message has an id (a UUID), a type (a URL by habit), a
// target, a sender, perhaps the id of the message that it answers, and data.
//
// # Version 2
//
// A websocket text frame with one JSON object, at the path /pcp2[/type]:
//
//	{"id":           "<uuid>",     required
//	 "message_type": "<string>",   required
//	 "target":       "<uri>",      absent: pcp:///server
//	 "sender":       "<uri>",      absent: the connection's own
//	 "in_reply_to":  "<uuid>",
//	 "data":         <any JSON>}
//
// Any other member makes it invalid, as does a name twice.
//
// # Version 1
//
// A websocket binary frame, at the path /pcp[/type]:
//
//	byte    0x01, the version
//	chunk   envelope, required, first
//	chunk   data, at most one
//	chunk   debug, any number
//
//	chunk = byte    descriptor; the low nibble is 1 envelope, 2 data, 3 debug
//	        uint32  length of the content, big-endian
//	        bytes   content
//
// The envelope is a JSON object: id, message_type, targets (an array), sender,
// expires (a time), and perhaps destination_report and in-reply-to. Data is
// JSON here, though the protocol would allow anything. Debug chunks are
// dropped.
//
// # From one to the other
//
// Inside the program there are only messages of version 2. Reading version 1:
// the one of targets becomes target, and more than one, or one with a *, sets
// Multicast; expires and destination_report are dropped; the data
// {"id","description"} of an error_message becomes in_reply_to and a string.
// Writing it: targets holds the target or nothing, a missing sender is
// pcp:///server, expires is the epoch (agents want a time there, and do not
// look at it), and in-reply-to is left out except on inventory_response, which
// is what upstream's broker does and its agents are used to.
package pcp
