package config

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/ini.v1"
)

// entry is a line of a file.
type entry struct {
	section, key, value string
	file                string
	line                int
}

func (e entry) at() string { return fmt.Sprintf("%s:%d", e.file, e.line) }

// readPath reads a file, or the *.ini files of a directory in the order of
// their names. A key that is given twice is an error. skipped are files of the
// directory that PuppetDB would read and Dalang does not.
func readPath(path string) (entries []entry, skipped []string, err error) {
	files, skipped, err := listFiles(path)
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]entry{}
	for _, file := range files {
		list, err := readFile(file)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range list {
			id := e.section + "." + e.key
			if first, ok := seen[id]; ok {
				return nil, nil, fmt.Errorf("%s: %s is given twice: also at %s", e.at(), id, first.at())
			}
			seen[id] = e
		}
		entries = append(entries, list...)
	}
	return entries, skipped, nil
}

func listFiles(path string) (files, skipped []string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil, nil
	}
	list, err := os.ReadDir(path)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	for _, f := range list {
		switch name := filepath.Join(path, f.Name()); filepath.Ext(name) {
		case ".ini":
			files = append(files, name)
		case ".conf", ".json", ".properties", ".edn":
			skipped = append(skipped, name)
		}
	}
	return files, skipped, nil
}

func readFile(file string) ([]entry, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return parse(file, data)
}

// parse reads the text of a file. Section and key names are lower-cased, as
// PuppetDB does. A # or ; in a value belongs to it.
func parse(file string, data []byte) ([]entry, error) {
	f, err := ini.LoadSources(ini.LoadOptions{
		Insensitive: true, IgnoreInlineComment: true, IgnoreContinuation: true, AllowShadows: true,
		UnescapeValueCommentSymbols: false,
	}, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	where := positions(data)
	var entries []entry
	for _, section := range f.Sections() {
		for _, key := range section.Keys() {
			id := position{strings.ToLower(section.Name()), strings.ToLower(key.Name())}
			lines := where[id]
			e := entry{section: id.section, key: id.key, value: key.Value(), file: file}
			if len(lines) > 0 {
				e.line = lines[0]
			}
			if len(lines) > 1 {
				return nil, fmt.Errorf("%s:%d: %s.%s is given twice: also at line %d", file, lines[1], e.section, e.key, lines[0])
			}
			if id.section == "default" {
				return nil, fmt.Errorf("%s: %s stands before the first [section]", e.at(), e.key)
			}
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return a.line - b.line })
	return entries, nil
}

type position struct{ section, key string }

// positions finds the lines of keys, which the ini library does not tell.
func positions(data []byte) map[position][]int {
	where := map[position][]int{}
	section := "default"
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	lines.Buffer(nil, len(data)+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			if end := strings.LastIndexByte(line, ']'); end > 0 {
				section = strings.ToLower(strings.TrimSpace(line[1:end]))
			}
		default:
			key, _, _ := strings.Cut(line, "=")
			if i := strings.IndexByte(key, ':'); i >= 0 {
				key = key[:i]
			}
			id := position{section, strings.ToLower(strings.Trim(strings.TrimSpace(key), "\"`"))}
			where[id] = append(where[id], n)
		}
	}
	return where
}
