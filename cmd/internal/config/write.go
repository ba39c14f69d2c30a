package config

import (
	"bufio"
	"fmt"
	"io"
)

// WriteINI writes a file that says the same, with the origin of each value in a
// comment above it. changed leaves out the defaults.
func (l *Loaded) WriteINI(w io.Writer, changed bool) error {
	out := bufio.NewWriter(w)
	section := ""
	for _, k := range Keys() {
		if changed && !l.Said(k.String()) {
			continue
		}
		if k.Section != section {
			if section != "" {
				fmt.Fprintln(out)
			}
			section = k.Section
			fmt.Fprintf(out, "[%s]\n", section)
		}
		fmt.Fprintf(out, "# %s\n%s\n", l.Origin(k.String()), line(k.Name, k.Text(&l.Config)))
	}
	return out.Flush()
}

// line writes a setting so that parseLine reads it. A value that looks quoted
// is put into other quotes.
func line(name, value string) string {
	if value == "" {
		return name + " ="
	}
	for _, quote := range []string{"", "`", `"`, "'"} {
		text := name + " = " + quote + value + quote
		if e, err := parseLine(text); err == nil && e.value == value {
			return text
		}
	}
	return name + " = " + value
}
