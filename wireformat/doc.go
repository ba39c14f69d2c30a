// Package wireformat turns the body of a command into what the store keeps.
//
// It is a leaf: it knows nothing of queues, HTTP or SQL. Decode is the only
// way in. It reads plain JSON once, brings it up to the latest version of its
// format one version at a time, validates it, and gives one struct per
// command in which every value is in canonical form. The payload shares no
// memory with the body.
//
// # Commands and versions
//
//	command                 versions  payload
//	replace facts           2 to 5    *Facts
//	replace catalog         4 to 9    *Catalog
//	store report            3 to 8    *Report
//	deactivate node         1 to 3    *Deactivate
//	configure expiration    1         *Expiration
//	replace catalog inputs  1         *CatalogInputs
//
// Fields that a version of facts or catalogs did not have are overwritten by
// the upgrade even if they were sent; at the top level of a report they are
// kept. Facts, deactivations and expirations refuse unknown keys, reports do
// at every depth; catalogs and catalog inputs drop them.
//
// # Errors
//
// Every error is an *Error and the command's own fault; trying again cannot
// help. A text that is not JSON stops at once (CauseParse). Otherwise the
// whole body is read and up to a hundred problems are reported, each with its
// JSON path (CauseValidation). What upstream leaves to its database, hours of
// retries later, is refused here: a UUID that is none, a resource without
// "exported", a line or report_format that does not fit its column.
//
// # How JSON is read
//
// As upstream's reader does, which is laxer than RFC 8259:
//
//   - only the first value counts, what follows it is ignored; an empty body
//     is null
//   - raw control characters may stand in strings
//   - of a repeated key the last value wins
//   - malformed UTF-8, lone surrogates and NUL become U+FFFD; a character that
//     is cut off becomes one of them, as Java decodes it
//   - integers may be of any size and keep their digits; a number with a
//     fraction or an exponent is a double
//   - null may stand for any list, except tags of resources and edges of catalogs
//
// There are no comments, single quotes, NaN, Infinity or leading zeros.
// Nesting deeper than 2000 is refused, and so are hundreds of unsorted objects
// within each other, whose sorting would take quadratic time. Upstream refuses
// neither.
//
// # Canonical form
//
// A JSON value has one canonical text: keys sorted by UTF-16 units, no white
// space, doubles as Java prints them (1.0, 1.0E10), integers verbatim, only
// ", \ and control characters escaped. Hashes are SHA-1 over canonical
// texts; those of resources, factsets and reports equal upstream's byte for
// byte; for that, keys with a slash inside resource parameters are hashed in
// the order of Clojure's keywords. The hash of a catalog is our own, since upstream's depends on the
// iteration order of a set.
//
// # Times
//
// Reports write times strictly (ParseStrictTime): date, T, time, offset. The
// producer_timestamp of other commands may be milliseconds since 1970 or a
// text in any of many formats (ParseTime). All become UTC, cut to
// milliseconds.
//
// # Bodies and checksums
//
// Inflate and Gunzip read the first member of a gzip body and ignore the
// rest. Digest and PythonDigest compute the three checksums that clients are
// known to send: of the payload, of the payload in its envelope, and of
// Python's text of the payload.
package wireformat
