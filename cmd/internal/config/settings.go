package config

// Setting is one line of a file, for programs that have keys of their own.
type Setting struct {
	Section, Key, Value string
	At                  string // file:line
}

// Settings reads a file, or the *.ini files of a directory. The error is
// Mistakes, all of them; what could be read is answered all the same.
func Settings(path string) ([]Setting, error) {
	entries, _, wrong := readPath(path)
	all := make([]Setting, len(entries))
	for i, e := range entries {
		all[i] = Setting{e.section, e.key, e.value, e.at()}
	}
	if wrong == nil {
		return all, nil
	}
	var told Mistakes
	for _, m := range wrong {
		told = append(told, m.String())
	}
	return all, told
}
