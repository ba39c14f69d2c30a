// Package ast is the tree of a query: the one form that AST JSON and PQL
// become before they are resolved.
//
// Reading has two steps. Read turns text into a Value, which is JSON that
// keeps every digit and the place of everything. Parse and ParseRoot turn a
// Value into a Query, and refuse what has not the shape of one. They know
// operators and their arity, but neither entities nor fields: whether
// something means anything is for package query to say.
//
// The forms (documentation/api/query/v4/ast of PuppetDB, spec query.md §3):
//
//	query   = [ "from" entity (query)? paging* ]            at the root and within "in"
//	        | [ "extract" columns (expr)? (group_by)? ] | expr
//	columns = column | [ column* ]                          empty: every column
//	column  = name | [ "function" name arg* ]
//	paging  = [ "limit" n ] | [ "offset" n ] | [ "order_by" [ name | [ name ("asc"|"desc") ]* ] ]
//	expr    = [ "and"|"or" expr+ ] | [ "not" expr ]
//	        | [ "="|"<"|">"|"<="|">="|"~" field value ] | [ "~>" field array ] | [ "null?" field bool ]
//	        | [ "in" field|[field*] source ] | [ "subquery" entity expr ]
//	field   = name | [ "parameter" name ] | [ "fact" name ] | [ "node" "active" ] | [ "function" name arg* ]
//	source  = [ "array" [ value* ] ] | [ "from" … ] | [ "extract" columns [ "select_<entity>" (expr)? ] ]
package ast
