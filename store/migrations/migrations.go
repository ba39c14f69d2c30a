// Package migrations carries the schema's steps: a folder per database, files
// in order of their names. A step that was released is never changed; a later
// one mends it.
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed sqlite/*.sql
var files embed.FS

// Files is the tree of migrations.
func Files() fs.FS { return files }
