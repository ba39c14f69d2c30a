package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// write makes a directory with files, given as name and text in turn.
func write(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600))
	}
	return dir
}

func load(t *testing.T, o Options) *Loaded {
	t.Helper()
	l, err := Load(o)
	require.NoError(t, err)
	return l
}

func TestNothingGiven(t *testing.T) {
	l := load(t, Options{})
	require.Equal(t, Default(), l.Config)
	require.Empty(t, l.Warnings)
	for _, k := range Keys() {
		require.Equal(t, originDefault, l.Origin(k.String()))
	}
}

func TestOrder(t *testing.T) {
	dir := write(t, "dalang.ini", "[dalang]\nlisten = 127.0.0.1:1\ndata = /file\n[log]\nlevel = warn\n")
	l := load(t, Options{
		Path: dir, Env: []string{"DALANG_LISTEN=127.0.0.1:2", "DALANG_DATA=/env", "HOME=/"},
		Flags: map[string]string{"dalang.listen": "127.0.0.1:3", "database.node-ttl": "1h"},
	})
	require.Equal(t, "127.0.0.1:3", l.Dalang.Listen)
	require.Equal(t, "--listen", l.Origin("dalang.listen"))
	require.Equal(t, "/env", l.Dalang.Data)
	require.Equal(t, "environment variable DALANG_DATA", l.Origin("dalang.data"))
	require.Equal(t, "warn", l.Log.Level)
	require.Equal(t, filepath.Join(dir, "dalang.ini")+":5", l.Origin("log.level"))
	require.Equal(t, "--set database.node-ttl", l.Origin("database.node-ttl"))
	require.Empty(t, l.Warnings)
}

// TestPackagedConfiguration reads what PuppetDB's package and ssl-setup leave
// in conf.d.
func TestPackagedConfiguration(t *testing.T) {
	l := load(t, Options{Path: "testdata/conf.d"})
	require.Equal(t, "/opt/puppetlabs/server/data/puppetdb", l.Dalang.Data)
	require.Equal(t, "localhost:8080", l.Dalang.Listen)
	require.Equal(t, "0.0.0.0:8081", l.Dalang.TLSListen)
	require.Equal(t, "want", l.Jetty.ClientAuth)
	require.Equal(t, "/etc/puppetlabs/puppetdb/ssl/public.pem", l.Jetty.SSLCert)
	require.Equal(t, "/etc/puppetlabs/puppetdb/certificate-allowlist", l.PuppetDB.CertificateAllowlist)
	require.Equal(t, Duration(30*day), l.Database.ReportTTL)
	require.Equal(t, Duration(30*day), l.Database.ResourceEventsTTL, "follows report-ttl")
	require.Equal(t, Minutes(90), l.Database.GCIntervalCatalogs, "follows gc-interval")
	require.Equal(t, Minutes(1440), l.Database.GCIntervalFactPaths, "at least a day")
	require.Equal(t, List{"networking.interfaces.veth*", "system_uptime"}, l.Database.FactsBlocklist)
	got := strings.Join(l.Warnings, "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile("testdata/conf.d.warnings", []byte(got), 0o644))
	}
	want, err := os.ReadFile("testdata/conf.d.warnings")
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func TestDerived(t *testing.T) {
	for name, c := range map[string]struct {
		file                    string
		listen, tlsListen, data string
	}{
		"only TLS":            {"[jetty]\nssl-port = 8081\nclient-auth = none\nssl-cert = c\nssl-key = k", "", "localhost:8081", "data"},
		"another port":        {"[jetty]\nport = 9090", "localhost:9090", "", "data"},
		"ours beats PuppetDB": {"[jetty]\nport = 1\n[dalang]\nlisten = 127.0.0.1:2\ndata = /d\n[global]\nvardir = /v", "127.0.0.1:2", "", "/d"},
		"vardir":              {"[global]\nvardir = /v", "127.0.0.1:8080", "", "/v"},
		"IPv6":                {"[jetty]\nhost = ::1\nport = 80", "[::1]:80", "", "data"},
	} {
		t.Run(name, func(t *testing.T) {
			l := load(t, Options{Path: filepath.Join(write(t, "a.ini", c.file), "a.ini")})
			require.Equal(t, []string{c.listen, c.tlsListen, c.data}, []string{l.Dalang.Listen, l.Dalang.TLSListen, l.Dalang.Data})
		})
	}
}

func TestNoGC(t *testing.T) {
	l := load(t, Options{Flags: map[string]string{"database.gc-interval": "0", "database.gc-interval-catalogs": "5"}})
	require.Zero(t, l.Database.GCIntervalCatalogs)
	require.Zero(t, l.Database.GCIntervalFactPaths)
}

func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		env   string
		flags map[string]string
		want  []string // all of them; a.ini stands for its path
	}{
		"unknown key of ours": {files: []string{"a.ini", "[dlo]\n# text\nmax = x\n"},
			want: []string{"a.ini:3: unknown setting dlo.max; [dlo] has max-age, max-bytes"}},
		"twice in a file": {files: []string{"a.ini", "[jetty]\nport = 1\nPort = 1\n"},
			want: []string{"a.ini:3: jetty.port is given twice: also at line 2"}},
		"twice in a directory": {files: []string{"a.ini", "[jetty]\nport = 1\n", "b.ini", "[jetty]\nport = 1\n"},
			want: []string{"b.ini:2: jetty.port is given twice: also at a.ini:2"}},
		"old and new name": {files: []string{"a.ini", "[puppetdb]\ncertificate-whitelist = a\ncertificate-allowlist = b\n"},
			want: []string{"a.ini:2: puppetdb.certificate-whitelist is the old name of puppetdb.certificate-allowlist, which is given at a.ini:3"}},
		"two names": {files: []string{"a.ini", "[jetty]\nallow-cleartext = true\n[dalang]\nallow-cleartext = false\n"},
			want: []string{"a.ini:2: jetty.allow-cleartext is another name of dalang.allow-cleartext, which is given at a.ini:4"}},
		"alias, form": {files: []string{"a.ini", "[command-processing]\nverify-checksum = no\n"},
			want: []string{`a.ini:2: command-processing.verify-checksum: "no" is neither true nor false`}},
		"no section":      {files: []string{"a.ini", "port = 1\n"}, want: []string{"a.ini:1: port stands before the first [section]"}},
		"no value":        {files: []string{"a.ini", "[jetty]\n\nport\n"}, want: []string{`a.ini:3: "port" is neither key = value nor [section]`}},
		"no key":          {files: []string{"a.ini", "[jetty]\n = 1\n"}, want: []string{`a.ini:2: "= 1" is neither key = value nor [section]`}},
		"open section":    {files: []string{"a.ini", "[jetty\nport = 1\n"}, want: []string{`a.ini:1: "[jetty" is no [section]: the ] is missing`, "a.ini:2: port stands before the first [section]"}},
		"nameless":        {files: []string{"a.ini", "[]\n"}, want: []string{`a.ini:1: "[]" is no [section]: it has no name`}},
		"long line":       {files: []string{"a.ini", "[a]\n" + strings.Repeat("é", 50)}, want: []string{`a.ini:2: "` + strings.Repeat("é", 40) + `…" is neither key = value nor [section]`}},
		"control":         {files: []string{"a.ini", "[dalang]\ndata = a\x01b\n"}, want: []string{`a.ini:2: dalang.data: "a\x01b" holds a control character`}},
		"variable":        {env: "DALANG_LOG_FORMAT=xml", want: []string{`environment variable DALANG_LOG_FORMAT: log.format: "xml" is not one of text, json`}},
		"variable, form":  {env: "DALANG_ALLOW_CLEARTEXT=yes", want: []string{`environment variable DALANG_ALLOW_CLEARTEXT: dalang.allow-cleartext: "yes" is neither true nor false`}},
		"flag":            {flags: map[string]string{"dalang.max-body": "big"}, want: []string{`--set dalang.max-body: "big" is not a size: bytes, or a whole number with KiB, MiB or GiB`}},
		"unknown flag":    {flags: map[string]string{"dalang.x": "1"}, want: []string{"there is no setting \"dalang.x\"; `dalang config show` lists them"}},
		"report lifetime": {files: []string{"a.ini", "[database]\nresource-events-ttl = 15d"}, want: []string{`a.ini:2: database.resource-events-ttl: The "database" resource-events-ttl must not be longer than report-ttl`}},
		"negative":        {flags: map[string]string{"database.gc-interval": "-1"}, want: []string{`--set database.gc-interval: "-1" must not be negative`}},
		"nowhere":         {flags: map[string]string{"dalang.listen": "none"}, want: []string{"--listen: dalang.listen: neither a cleartext nor a TLS address to listen on"}},
		"TLS without files": {flags: map[string]string{"dalang.tls-listen": ":8081"},
			want: []string{"jetty.ssl-cert: TLS needs a certificate (--tls-cert)", "jetty.ssl-key: TLS needs a key (--tls-key)", "jetty.ssl-ca-cert: client-auth need needs it (--tls-ca)"}},
		"what follows from a mistake is none": {files: []string{"a.ini", "[jetty]\nssl-port = https\n[database]\nreport-ttl = soon\n"},
			want: []string{`a.ini:2: jetty.ssl-port: "https" is not a whole number from 0 to 2147483647`, `a.ini:4: database.report-ttl: "soon" is not a duration`}},
		"all at once, in order": {
			files: []string{
				"a.ini", "[log]\nlevel = loud\n[dlo]\nmax = 1\n[database]\nnode-ttl = 7\nnode-ttl = 8d\n[jetty]\nport = http\nhost\n",
				"b.ini", "[jetty]\nclient-auth = maybe\n",
			},
			env: "DALANG_MAX_BODY=0", flags: map[string]string{"query.slow": "1"},
			want: []string{
				`a.ini:2: log.level: "loud" is not one of debug, info, warn, error`,
				"a.ini:4: unknown setting dlo.max; [dlo] has max-age, max-bytes",
				`a.ini:6: database.node-ttl: "7" is not a duration`,
				"a.ini:7: database.node-ttl is given twice: also at line 6",
				`a.ini:9: jetty.port: "http" is not a whole number from 0 to 2147483647`,
				`a.ini:10: "host" is neither key = value nor [section]`,
				`b.ini:2: jetty.client-auth: "maybe" is not one of need, want, none`,
				`--set query.slow: "1" is not a duration`,
				"environment variable DALANG_MAX_BODY: dalang.max-body: must be more than 0",
			}},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Flags: c.flags, Env: []string{c.env}}
			if c.files != nil {
				o.Path = write(t, c.files...)
			}
			_, err := Load(o)
			var mistakes Mistakes
			require.ErrorAs(t, err, &mistakes)
			for i, m := range mistakes {
				mistakes[i] = strings.ReplaceAll(m, o.Path+"/", "")
				if i < len(c.want) && strings.HasPrefix(mistakes[i], c.want[i]) && strings.Contains(c.want[i], "is not a duration") {
					mistakes[i] = c.want[i] // which goes on with examples
				}
			}
			require.Equal(t, c.want, []string(mistakes))
		})
	}
	_, err := Load(Options{Path: "testdata/nowhere", Flags: map[string]string{"dalang.x": "1"}})
	require.ErrorContains(t, err, "testdata/nowhere: no such file or directory")
	require.ErrorContains(t, err, "dalang.x", "a missing file hides nothing")
}

// TestChecks: rules of others are told with key, file and line too.
func TestChecks(t *testing.T) {
	checks := map[string]func(*Config) error{
		"dalang.listen": func(c *Config) error {
			if strings.HasPrefix(c.Dalang.Listen, "0.0.0.0") {
				return errors.New("too open")
			}
			return nil
		},
		"database.facts-blocklist": func(*Config) error { return errors.New("bad") },
	}
	for name, c := range map[string]struct{ file, want string }{
		"where it is said":    {"[dalang]\nlisten = 0.0.0.0:1\n", "a.ini:2: dalang.listen: too open"},
		"the host of Jetty's": {"[jetty]\nport = 1\nhost = 0.0.0.0\n", "a.ini:3: jetty.host: too open"},
		"its host alone":      {"[jetty]\nhost = 0.0.0.0\n", "a.ini:2: jetty.host: too open"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(Options{Path: write(t, "a.ini", c.file), Checks: checks})
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "\ndatabase.facts-blocklist: bad")
		})
	}
	_, err := Load(Options{Env: []string{"DALANG_LISTEN=0.0.0.0:1"}, Checks: checks})
	require.ErrorContains(t, err, "environment variable DALANG_LISTEN: dalang.listen: too open")
}

func TestAliases(t *testing.T) {
	l := load(t, Options{Path: write(t, "a.ini", "[jetty]\nallow-cleartext = true\n[command-processing]\nverify-checksum = false\n")})
	require.True(t, l.Dalang.AllowCleartext)
	require.False(t, l.Dalang.VerifyChecksum)
	require.Empty(t, l.Warnings)
	require.Contains(t, l.Origin("dalang.verify-checksum"), "a.ini:4")
	l = load(t, Options{Flags: map[string]string{"command-processing.verify-checksum": "false"}})
	require.False(t, l.Dalang.VerifyChecksum)
	require.Equal(t, "--set command-processing.verify-checksum", l.Origin("dalang.verify-checksum"))
}

// TestAddresses: a host without a port means the port that it means to
// PuppetDB, and what is overridden is told.
func TestAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		file, listen, tlsListen, warning string
	}{
		"host alone": {"[jetty]\nhost = 127.0.0.2\n", "127.0.0.2:8080", "",
			"a.ini:2: jetty.host without jetty.port means port 8080, as for PuppetDB; say so, or remove it"},
		"TLS host alone": {"[jetty]\nssl-host = 127.0.0.2\nclient-auth = none\nssl-cert = c\nssl-key = k\n", "", "127.0.0.2:8081",
			"a.ini:2: jetty.ssl-host without jetty.ssl-port means port 8081, as for PuppetDB; say so, or remove it"},
		"overridden": {"[jetty]\nport = 1\n[dalang]\nlisten = 127.0.0.1:2", "127.0.0.1:2", "",
			"a.ini:2: jetty.port is not used: dalang.listen says where to listen (a.ini:4)"},
		"said twice, alike": {"[jetty]\nport = 1\n[dalang]\nlisten = localhost:1", "localhost:1", "", ""},
		"host, no port":     {"[jetty]\nhost = 127.0.0.2\nport = 0\n[dalang]\nlisten = 127.0.0.1:2", "127.0.0.1:2", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "a.ini", c.file)
			l := load(t, Options{Path: path})
			require.Equal(t, []string{c.listen, c.tlsListen}, []string{l.Dalang.Listen, l.Dalang.TLSListen})
			require.Equal(t, c.warning, strings.ReplaceAll(strings.Join(l.Warnings, "\n"), path+"/", ""))
		})
	}
}

func TestUnknownVariableIsTold(t *testing.T) {
	l := load(t, Options{Env: []string{"DALANG_LISTN=x", "DALANG_CRASH_KILLS=3"}})
	require.Equal(t, []string{"environment variable DALANG_LISTN is ignored: there is no such setting"}, l.Warnings)
}

func TestValues(t *testing.T) {
	for _, c := range []struct{ key, in, out string }{
		{"database.node-ttl", "0s", "0s"}, {"database.node-ttl", "48h", "2d"}, {"database.node-ttl", "90m", "90m"},
		{"database.node-ttl", "1500ms", "1500ms"}, {"database.node-ttl", "120000ms", "2m"},
		{"dalang.max-body", "1048576", "1MiB"}, {"dalang.max-body", "10 MB", "10000000"}, {"dalang.max-body", "3k", "3KiB"},
		{"database.gc-interval", "0.5", "0.5"}, {"puppetdb.query-timeout-default", "300", "300"},
		{"jetty.cipher-suites", " A,, B ", "A, B"}, {"developer.pretty-print", "TRUE", "true"}, {"developer.pretty-print", "", "false"},
	} {
		l := load(t, Options{Flags: map[string]string{c.key: c.in}})
		for _, k := range Keys() {
			if k.String() == c.key {
				require.Equal(t, c.out, k.Text(&l.Config), "%s = %s", c.key, c.in)
			}
		}
	}
	for _, bad := range []string{"7", "d", "1d 2h", "1.5h", "-1d", "1w", "99999999999d", "1D"} {
		require.Error(t, new(Duration).UnmarshalText([]byte(bad)), bad)
	}
	for _, bad := range []string{"", "-1", "1TiB", "1.5k", "99999999999G"} {
		require.Error(t, new(Size).UnmarshalText([]byte(bad)), bad)
	}
}

func TestTimeouts(t *testing.T) {
	require.Equal(t, time.Duration(-1), Seconds(0).Timeout())
	require.Equal(t, 1500*time.Millisecond, Seconds(1.5).Timeout())
}

// TestRoundTrip: what WriteINI writes, Load reads, to the same configuration.
func TestRoundTrip(t *testing.T) {
	for name, o := range map[string]Options{
		"defaults":   {},
		"package":    {Path: "testdata/conf.d"},
		"only TLS":   {Flags: map[string]string{"jetty.ssl-port": "1", "jetty.client-auth": "none", "jetty.ssl-cert": "c", "jetty.ssl-key": "k"}},
		"host":       {Flags: map[string]string{"jetty.host": "::1"}},
		"overridden": {Flags: map[string]string{"jetty.port": "1", "dalang.listen": "127.0.0.1:8080"}},
		"no GC":      {Flags: map[string]string{"database.gc-interval": "0", "database.gc-interval-catalogs": "5"}},
		"characters": {Flags: map[string]string{"dalang.data": "/a b; c # d", "database.facts-blocklist": `"a", b`, "store.path": "`x`", "dalang.admins": "'y'"}},
		"aliases":    {Flags: map[string]string{"jetty.allow-cleartext": "true"}},
	} {
		for _, changed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, changed %v", name, changed), func(t *testing.T) {
				first := load(t, o)
				var text strings.Builder
				require.NoError(t, first.WriteINI(&text, changed))
				second := load(t, Options{Path: write(t, "a.ini", text.String())})
				require.Equal(t, first.Config, second.Config, text.String())
				if !changed {
					require.LessOrEqual(t, len(second.Warnings), len(first.Warnings), second.Warnings)
				}
			})
		}
	}
}

func TestWriteINI(t *testing.T) {
	l := load(t, Options{Path: "testdata/conf.d", Flags: map[string]string{"query.slow": "1s"}})
	var all, changed strings.Builder
	require.NoError(t, l.WriteINI(&all, false))
	require.NoError(t, l.WriteINI(&changed, true))
	require.Contains(t, all.String(), "# default\nmax-body = 128MiB\n")
	require.NotContains(t, changed.String(), "default")
	for name, got := range map[string]string{"all": all.String(), "changed": changed.String()} {
		golden := "testdata/conf.d." + name
		if *update {
			require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		require.Equal(t, string(want), got)
	}
}

func FuzzRoundTrip(f *testing.F) {
	for _, v := range []string{"a", `"a"`, "`a`", `"""a`, "a`", "[x]", "a=b", `a\`, "# c", "'a'", `"a`, "%(b)s"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		first, err := Load(Options{Flags: map[string]string{"dalang.data": value}})
		if err != nil {
			return
		}
		e, err := parseLine(line("data", first.Dalang.Data))
		require.NoError(t, err)
		require.Equal(t, first.Dalang.Data, e.value)
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("[jetty]\nhost = ::1\nport=1\n; c\n# d\n[a b]\nk: v\n"))
	f.Add([]byte("\xef\xbb\xbf[a]\n\"k\" = \"v\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, wrong := parse("f", data)
		lines := bytes.Count(data, []byte("\n")) + 1
		for _, m := range wrong {
			require.True(t, m.line > 0 && m.line <= lines, "%v", m)
			require.NotEmpty(t, m.text)
		}
		for _, e := range entries {
			require.Equal(t, strings.ToLower(e.section), e.section)
			require.Equal(t, strings.ToLower(e.key), e.key)
			require.True(t, e.line > 0 && e.line <= lines, "%v", e)
		}
	})
}
