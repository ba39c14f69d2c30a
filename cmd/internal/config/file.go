package config

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/ini.v1"
)

// entry is a setting in a file.
type entry struct {
	section, key, value string
	file                string
	line                int
}

func (e entry) at() string { return fmt.Sprintf("%s:%d", e.file, e.line) }

func (e entry) id() string { return e.section + "." + e.key }

// mistake is something wrong at a place.
type mistake struct {
	file string // empty: not in a file
	line int    // 0: the file as a whole
	text string
}

func (m mistake) String() string {
	switch {
	case m.file == "":
		return m.text
	case m.line == 0:
		return m.file + ": " + m.text
	}
	return fmt.Sprintf("%s:%d: %s", m.file, m.line, m.text)
}

// readPath reads a file, or the *.ini files of a directory in the order of
// their names. A key that is given twice is a mistake; the first one counts.
// skipped are files of the directory that PuppetDB would read and Dalang does
// not.
func readPath(path string) (entries []entry, skipped []string, wrong []mistake) {
	files, skipped, err := listFiles(path)
	if err != nil {
		return nil, nil, []mistake{{text: err.Error()}}
	}
	seen := map[string]entry{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			wrong = append(wrong, mistake{text: fmt.Sprintf("configuration: %v", err)})
			continue
		}
		list, bad := parse(file, data)
		wrong = append(wrong, bad...)
		for _, e := range list {
			if first, ok := seen[e.id()]; ok {
				also := "also at " + first.at()
				if first.file == e.file {
					also = fmt.Sprintf("also at line %d", first.line)
				}
				wrong = append(wrong, mistake{e.file, e.line, fmt.Sprintf("%s is given twice: %s", e.id(), also)})
				continue
			}
			seen[e.id()] = e
			entries = append(entries, e)
		}
	}
	return entries, skipped, wrong
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

// parse reads the text of a file, and finds all lines that are at fault. It
// gives the ini library a line at a time, for the library does not tell where
// things stand and ends at the first mistake. Section and key names are
// lower-cased, as PuppetDB does. A # or ; in a value belongs to it.
func parse(file string, data []byte) (entries []entry, wrong []mistake) {
	section := ""
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	lines.Buffer(nil, len(data)+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		e, err := parseLine(line)
		switch {
		case err != nil:
			wrong = append(wrong, mistake{file, n, err.Error()})
		case e.key == "":
			section = e.section
		case section == "":
			wrong = append(wrong, mistake{file, n, e.key + " stands before the first [section]"})
		default:
			e.section, e.file, e.line = section, file, n
			entries = append(entries, e)
		}
	}
	return entries, wrong
}

// parseLine reads "[section]", which has no key, or "key = value", which has no
// section.
func parseLine(line string) (entry, error) {
	f, err := ini.LoadSources(ini.LoadOptions{
		Insensitive: true, IgnoreInlineComment: true, IgnoreContinuation: true,
	}, []byte(line))
	if err != nil {
		return entry{}, syntaxError(line)
	}
	sections := f.Sections()
	last := sections[len(sections)-1]
	if line[0] == '[' {
		if last.Name() == "" {
			return entry{}, syntaxError(line)
		}
		return entry{section: strings.ToLower(last.Name())}, nil
	}
	keys := last.Keys()
	if len(keys) != 1 || keys[0].Name() == "" {
		return entry{}, syntaxError(line)
	}
	return entry{key: strings.ToLower(keys[0].Name()), value: keys[0].Value()}, nil
}

// syntaxError says what the line should have been; the library's words are for
// programmers.
func syntaxError(line string) error {
	shown := line
	if r := []rune(line); len(r) > 40 {
		shown = string(r[:40]) + "…"
	}
	switch {
	case line[0] == '[' && strings.Contains(line, "]"):
		return fmt.Errorf("%q is no [section]: it has no name", shown)
	case line[0] == '[':
		return fmt.Errorf("%q is no [section]: the ] is missing", shown)
	}
	return fmt.Errorf("%q is neither key = value nor [section]", shown)
}
