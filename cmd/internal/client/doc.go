// Package client speaks HTTP to a running server for the commands of the
// program: which server, with which certificates, and how it refuses.
//
// Where a setting comes from, the first that says it:
//
//  1. flags: --server, --cert and --key, --ca, --token
//  2. the environment: DALANG_SERVER, DALANG_TOKEN
//  3. the file given with --client-config, of this kind or of the next, or else the client tools' files
//     $HOME/.puppetlabs/client-tools/puppetdb.conf and
//     /etc/puppetlabs/client-tools/puppetdb.conf, which puppet-query reads: JSON,
//     {"puppetdb": {"server_urls": …, "cacert": …, "cert": …, "key": …, "token": …}}
//  4. the termini's puppetdb.conf in Puppet's configuration directory, an INI
//     file with server_urls in [main]; certificates are the node's own, from
//     Puppet's ssl directory. Left out where its key cannot be read.
//  5. http://127.0.0.1:8080
//
// Each is looked up on its own, so that --server may name another server of the
// same people; only a certificate and its key are one thing. A token that a file
// holds is sent to servers that a file names, and to no other.
package client
