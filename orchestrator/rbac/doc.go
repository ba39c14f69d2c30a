// Package rbac says who may command the orchestrator: users, the roles that
// give them permissions, and the tokens and certificates by which a request
// shows whose it is (orchestrator.md §1.2, §4.1).
//
// # Who
//
// Access.Authenticate makes a Subject of what a request carries:
//
//	mode        token given            no token, certificate in the allowlist   neither
//	tokens      the token's user       api_user                                 401
//	certs-only  as if none were given  api_user                                 401
//	off         api_user               api_user                                 api_user
//
// A token that is given but not valid is refused; a certificate beside it does
// not help. Mode off is only for servers that no other machine can reach: see
// Mode.Check.
//
// # Tokens
//
// A token is "dalang_" and 256 random bits in base64url. The store has its
// SHA-256 and never the token. It ends at its lifetime, when it was not used
// for Config.IdleTimeout, when it or its user is revoked, and when its user is
// deleted. With the suffix "|no_keepalive" its use does not count as activity.
// Activity is noted at most once a minute. Lifetimes are written as n and one
// of y d h m s, or as a number of seconds; 0 stands for ten years.
//
// # Passwords
//
// Passwords are kept as argon2id in the usual notation,
//
//	$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>
//
// and hashed anew at a login when those parameters have changed. A login that
// nobody has costs as much as a wrong password, and gets the same answer. At
// most Config.Hashers are computed at a time. After five failures in a row a
// login has to wait, each time twice as long, up to five minutes.
//
// # Permissions
//
// A permission is object type, action and instance; each may be "*", which
// stands for all. A permission on a node group is one on the groups below it,
// and one on the root group is one on all. Who has *:*:* is a superuser.
package rbac
