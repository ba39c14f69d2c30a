// Package lint holds the tree to its own rules: where imports may point, how
// long files and functions may be, gofmt, and what docs/ must name. The rules
// are tests; the package has no code.
package lint
