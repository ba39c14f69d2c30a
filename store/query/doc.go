// Package query answers PuppetDB's query API from the store's tables.
//
// The way of a query:
//
//	text   → ast.Read, ast.Parse     a tree; or package pql, the same tree
//	       → resolve                 names become fields of entity tables (entity_*.go), values get the
//	                                 fields' types; everything wrong with it is found here: *Error
//	       → emit                    SQL with bound parameters; only tables that an expression touched are joined
//	       → Engine.Run              one read transaction; rows become JSON bytes one by one
//
// Predicates stay SQL with its three-valued logic; nothing is evaluated in Go
// but the functions of package sqlfunc, which stand for operators that SQLite
// lacks. Values of a query never become part of the SQL text.
//
// What the entities, operators and errors are is PuppetDB's; documents of this
// project call it spec query.md.
package query
