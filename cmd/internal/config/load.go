package config

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// Options is where settings come from, the weakest first. All may be empty.
type Options struct {
	Path  string            // a file, or a directory of *.ini files
	Env   []string          // os.Environ()
	Flags map[string]string // values by section.key; see Flags
	// Checks are rules that other packages have for values, by the key that
	// they are about. They see the whole configuration.
	Checks map[string]func(*Config) error
}

// Loaded is an effective configuration.
type Loaded struct {
	Config
	// Warnings are for the operator, a line each.
	Warnings []string

	sources map[string]source // by section.key
	wrong   []mistake
	bad     map[string]bool // keys with a mistake: what follows from them is not looked at
}

// Mistakes is all that is wrong with a configuration, a line each: first what
// is in files, in the order of files and lines.
type Mistakes []string

func (m Mistakes) Error() string { return strings.Join(m, "\n") }

// Load makes the effective configuration. The error is Mistakes; what could be
// made out is answered all the same, for its warnings.
func Load(o Options) (*Loaded, error) {
	l := &Loaded{Config: Default(), sources: map[string]source{}, bad: map[string]bool{}}
	keys := map[string]Key{}
	for _, k := range Keys() {
		keys[k.String()] = k
	}
	var order []string // of files
	if o.Path != "" {
		order = l.files(o.Path, keys)
	}
	l.env(o.Env, keys)
	l.flags(o.Flags, keys)
	l.derive()
	l.validate()
	for _, key := range slices.Sorted(maps.Keys(o.Checks)) {
		if err := o.Checks[key](&l.Config); err != nil {
			l.check(false, key, "%v", err)
		}
	}
	if l.wrong == nil {
		return l, nil
	}
	return l, l.mistakes(order)
}

// mistakes sorts them by file and line; the rest comes last, as it was found.
func (l *Loaded) mistakes(order []string) Mistakes {
	rank := func(m mistake) int {
		if i := slices.Index(order, m.file); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(l.wrong, func(a, b mistake) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return a.line - b.line
	})
	var all Mistakes
	for _, m := range l.wrong {
		all = append(all, m.String())
	}
	return all
}

func (l *Loaded) warn(format string, args ...any) {
	l.Warnings = append(l.Warnings, fmt.Sprintf(format, args...))
}

// set gives a key a value; a value of the wrong form is a mistake.
func (l *Loaded) set(k Key, value string, from source, called string) {
	l.sources[k.String()] = from
	err := k.set(&l.Config, value)
	if err == nil {
		return
	}
	l.bad[k.String()] = true
	l.wrong = append(l.wrong, mistake{from.file, from.line, from.text(called, err.Error())})
}

// files reads the files and answers their names in order.
func (l *Loaded) files(path string, keys map[string]Key) (order []string) {
	entries, skipped, wrong := readPath(path)
	l.wrong = append(l.wrong, wrong...)
	for _, file := range skipped {
		l.warn("%s is not read: Dalang reads *.ini files", file)
	}
	for _, m := range wrong {
		order = append(order, m.file)
	}
	for _, e := range entries {
		order = append(order, e.file)
	}
	gone := map[string]bool{}
	for _, e := range entries {
		id, called := e.id(), e.id()
		if name, kind := otherName(id); kind != sameName {
			if other := slices.IndexFunc(entries, func(o entry) bool { return o.id() == name }); other >= 0 {
				l.wrong = append(l.wrong, mistake{e.file, e.line,
					fmt.Sprintf("%s is %s of %s, which is given at %s", id, kind, name, entries[other].at())})
				continue
			}
			if kind == oldName {
				l.warn("%s: %s is now called %s", e.at(), id, name)
			}
			id = name
		}
		k, known := keys[id]
		if !known {
			l.unknown(e, keys, gone)
			continue
		}
		l.set(k, e.value, source{file: e.file, line: e.line}, called)
	}
	slices.Sort(order) // as readPath reads them
	return slices.Compact(order)
}

// unknown refuses a mistake in a section of ours and warns of the rest, once
// by name.
func (l *Loaded) unknown(e entry, keys map[string]Key, warned map[string]bool) {
	name := e.id()
	if ours(e.section) {
		l.wrong = append(l.wrong, mistake{e.file, e.line, fmt.Sprintf("unknown setting %s%s", name, suggestion(e, keys))})
		return
	}
	reason, ok := retired(e.section, e.key)
	switch {
	case strings.HasPrefix(e.section, "database-"):
		name, reason = "["+e.section+"]", "there is one database"
	case ok && !sectionKnown(e.section, keys):
		name = "[" + e.section + "]"
	case !ok && !sectionKnown(e.section, keys):
		name, reason = "["+e.section+"]", "Dalang does not know this section"
	case !ok:
		reason = "it does not exist and should be removed"
	}
	if !warned[name] {
		warned[name] = true
		l.warn("%s: %s is ignored: %s", e.at(), name, reason)
	}
}

func sectionKnown(section string, keys map[string]Key) bool {
	for _, k := range keys {
		if k.Section == section {
			return true
		}
	}
	return false
}

// suggestion names the keys of the section.
func suggestion(e entry, keys map[string]Key) string {
	var known []string
	for _, k := range keys {
		if k.Section == e.section {
			known = append(known, k.Name)
		}
	}
	slices.Sort(known)
	return "; [" + e.section + "] has " + strings.Join(known, ", ")
}

// foreign are variables of ours that are no settings: of tests, and of `dalang dlo`.
func foreign(name string) bool {
	for _, prefix := range []string{"DALANG_CRASH_", "DALANG_HOSTILE_", "DALANG_TEST_", "DALANG_SERVER"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func (l *Loaded) env(environ []string, keys map[string]Key) {
	byEnv := map[string]Key{}
	for _, k := range keys {
		byEnv[k.Env()] = k
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "DALANG_") || foreign(name) {
			continue
		}
		k, ok := byEnv[name]
		if !ok {
			l.warn("environment variable %s is ignored: there is no such setting", name)
			continue
		}
		l.set(k, value, source{name: "environment variable " + name}, k.String())
	}
}

func (l *Loaded) flags(flags map[string]string, keys map[string]Key) {
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		key := name
		if other, kind := otherName(name); kind != sameName {
			key = other
		}
		k, ok := keys[key]
		if !ok {
			l.wrong = append(l.wrong, mistake{text: fmt.Sprintf("there is no setting %q; `dalang config show` lists them", name)})
			continue
		}
		l.set(k, flags[name], source{name: FlagName(name)}, k.String())
	}
}

// LogLevel is log.level for slog.
func (c *Config) LogLevel() slog.Level {
	var level slog.Level
	if level.UnmarshalText([]byte(c.Log.Level)) != nil {
		return slog.LevelInfo // validate has checked it
	}
	return level
}

// Timeout turns PuppetDB's query timeout, where 0 is no limit, into the query
// engine's, where 0 is the default and negative no limit.
func (s Seconds) Timeout() time.Duration {
	if s == 0 {
		return -1
	}
	return s.Duration()
}
