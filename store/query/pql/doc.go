// Package pql turns PQL, the Puppet Query Language, into AST.
//
// The language (spec query.md §4; _ is optional white space, WS some):
//
//	query    = _ from _
//	from     = ENTITY _ ( "[" _ [ items ] _ "]" )? _ block
//	block    = "{" _ [ or ] _ ( [ groupby ] | { paging _ } ) _ "}"
//	or       = and { WS "or" WS and }
//	and      = not { WS "and" WS not }
//	not      = "!" _ not | "(" _ or _ ")" | ENTITY _ block | condition
//	condition = field _ "~" _ string
//	         | field _ "~>" _ "[" _ string { _ "," _ string } _ "]"
//	         | field _ ( ">=" | "<=" | "<" | ">" ) _ ( number | string )
//	         | field _ ( "=" | "!=" | "!~" ) _ literal
//	         | field _ ( "is null" | "is not null" )
//	         | ( field | "[" _ items _ "]" ) _ "in" _ ( from | "[" _ literals _ "]" )
//	items    = item { _ "," _ item }     item = field | function
//	function = NAME _ "(" _ [ ( field | string ) { _ "," _ string } ] _ ")"
//	groupby  = "group by" WS items
//	paging   = "limit" WS integer | "offset" WS integer | "order by" WS key { "," _ key }
//	key      = field [ WS ( "asc" | "desc" ) ] [ WS ]
//	field    = [A-Za-z0-9_]+ "?"? | ( "facts" | "trusted" | "parameters" ) segment+
//	segment  = "." ( quoted | plain | match )
//
// Upstream's grammar is ambiguous in places and strict in others; what it
// accepts is accepted, and what it refuses is refused, with two additions:
// every entity may be named, not only fourteen of them.
//
// The parser walks the text once from left to right and goes back where
// alternatives start alike. An error shows the place that was the furthest
// any alternative came to, and what could have stood there.
package pql
