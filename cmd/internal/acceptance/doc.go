// Package acceptance holds the tests that run Dalang with real Puppet code in
// front of it: Debian's puppet-agent and puppet-terminus-puppetdb, unmodified,
// over TLS with client certificates; for the orchestrator also Debian's Puppet
// Server, modules, PostgreSQL, OpenSSH and sudo. They stand behind the build tag
// "acceptance" because they install those packages (as root, with apt-get)
// where they are missing; `make acceptance` and `make acceptance-orchestrator`
// run them.
//
// Those of the orchestrator make, for as long as they run, two accounts, a rule
// of sudo, and an init script, all named dalang-acceptance, and an sshd of their
// own on loopback.
package acceptance
