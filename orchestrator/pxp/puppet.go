package pxp

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"dalang/orchestrator/job"
)

// PuppetRun makes the parameters of pxp-module-puppet's run of a deploy:
// {"flags":[…],"job":"<name>"} (orchestrator.md §7.1). Upstream's module joins
// the flags with its own as a set, by which a value that is equal to an earlier
// one vanishes and the next flag becomes the value. So no item is there twice:
// a later one gets another spelling of the same meaning. The error is a
// *job.Error: a value that agents refuse, or that has no other spelling.
func PuppetRun(d job.Deploy, jobName string) (json.RawMessage, error) {
	f := &flags{items: []string{}, seen: map[string]bool{}}
	if d.EnforceEnvironment && d.Environment != "" {
		f.value("environment", d.Environment, nil)
	}
	f.on("noop", d.Noop)
	f.on("no-noop", d.NoNoop)
	f.on("debug", d.Debug)
	f.on("trace", d.Trace)
	f.on("evaltrace", d.Evaltrace)
	f.seconds("filetimeout", d.Filetimeout)
	f.seconds("http_connect_timeout", d.HTTPConnectTimeout)
	f.seconds("http_keepalive_timeout", d.HTTPKeepaliveTimeout)
	f.seconds("http_read_timeout", d.HTTPReadTimeout)
	if d.Ordering != nil {
		f.value("ordering", *d.Ordering, nil)
	}
	f.list("tags", d.Tags)
	f.list("skip_tags", d.SkipTags)
	f.either("use_cached_catalog", d.UseCachedCatalog)
	f.either("usecacheonfailure", d.Usecacheonfailure)
	if f.err != nil {
		return nil, f.err
	}
	return json.Marshal(map[string]any{"flags": f.items, "job": jobName})
}

// flags are Puppet's arguments, none of which is there twice.
type flags struct {
	items []string
	seen  map[string]bool
	err   error // of the first that cannot be
}

// shape is what agents let pass.
var shape = regexp.MustCompile(`\A[a-zA-Z0-9_:,.][a-zA-Z0-9_:,.\-]*\z`)

func (f *flags) add(item string) {
	f.items = append(f.items, item)
	f.seen[item] = true
}

func (f *flags) on(name string, is bool) {
	if is {
		f.add("--" + name)
	}
}

func (f *flags) either(name string, is *bool) {
	if is != nil {
		f.on(name, *is)
		f.on("no-"+name, !*is)
	}
}

// value adds a flag with a value. spell gives the value's n-th spelling; nil:
// it has only one.
func (f *flags) value(name, value string, spell func(n int) string) {
	if !shape.MatchString(value) {
		f.fail(job.Invalid(name, "agents take no %s like %.80q: it may only have letters, digits and _:,.-", name, value))
		return
	}
	for n := 0; f.seen[value]; n++ {
		if spell == nil {
			f.fail(job.Invalid(name, "agents cannot take %s %q beside another setting of the same value", name, value))
			return
		}
		value = spell(n)
	}
	f.add("--" + name)
	f.add(value)
}

func (f *flags) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// seconds adds a duration: 30, 30s, 030, 030s, 0030 … are the same to Puppet.
func (f *flags) seconds(name string, n *int64) {
	if n == nil {
		return
	}
	value := strconv.FormatInt(*n, 10)
	f.value(name, value, func(n int) string {
		spelled := strings.Repeat("0", (n+1)/2) + value
		if n%2 == 0 {
			spelled += "s"
		}
		return spelled
	})
}

// list adds tags. Puppet drops empty ones at the end.
func (f *flags) list(name string, tags *string) {
	if tags == nil {
		return
	}
	value := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, *tags)
	if value == "" {
		return
	}
	f.value(name, value, func(n int) string { return value + strings.Repeat(",", n+1) })
}
