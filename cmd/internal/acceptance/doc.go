// Package acceptance holds the tests that run Dalang with real Puppet code in
// front of it: Debian's puppet-agent and puppet-terminus-puppetdb, unmodified,
// over TLS with client certificates. They stand behind the build tag
// "acceptance" because they install those packages (as root, with apt-get)
// where they are missing; `make acceptance` runs them.
package acceptance
