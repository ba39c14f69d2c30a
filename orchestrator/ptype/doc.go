// Package ptype reads Puppet's data types as task and plan parameters name
// them ("Optional[Array[String[1], 1, 5]]") and checks JSON values against
// them (orchestrator.md §8.3).
//
// Values are what encoding/json gives with UseNumber: nil, bool, json.Number,
// string, []any, map[string]any. A number is an Integer when it is written
// without fraction and exponent. Types of values that JSON cannot hold
// (Timestamp, SemVer, Regexp, …) take the string that stands for them. A type
// that is not known, an alias of a module such as Stdlib::Port, takes
// anything; Unknown names it.
//
// The grammar:
//
//	type  = Name [ "[" arg { "," arg } "]" ]       Name: words with capitals, joined by ::
//	arg   = type | string | number | /regex/ | "default" | "true" | "false" | "undef" | word | struct
//	struct = "{" [ key "=>" type { "," key "=>" type } ] "}"
//	key   = string | word | Optional[string] | NotUndef[string]
//
// A type is sensitive when Sensitive is anywhere in it. What a check says has
// the value, or what is wrong with it, and keys of its hashes; CheckSecret is for values that are secrets, and
// says nothing of them.
package ptype
