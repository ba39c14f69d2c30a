package config

import (
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
	for key, origin := range l.Origins {
		require.Equal(t, originDefault, origin, key)
	}
}

func TestOrder(t *testing.T) {
	dir := write(t, "dalang.ini", "[dalang]\nlisten = 127.0.0.1:1\ndata = /file\n[log]\nlevel = warn\n")
	l := load(t, Options{
		Path: dir, Env: []string{"DALANG_LISTEN=127.0.0.1:2", "DALANG_DATA=/env", "HOME=/"},
		Flags: map[string]string{"dalang.listen": "127.0.0.1:3", "database.node-ttl": "1h"},
	})
	require.Equal(t, "127.0.0.1:3", l.Dalang.Listen)
	require.Equal(t, "--listen", l.Origins["dalang.listen"])
	require.Equal(t, "/env", l.Dalang.Data)
	require.Equal(t, "environment variable DALANG_DATA", l.Origins["dalang.data"])
	require.Equal(t, "warn", l.Log.Level)
	require.Equal(t, filepath.Join(dir, "dalang.ini")+":5", l.Origins["log.level"])
	require.Equal(t, "--set database.node-ttl", l.Origins["database.node-ttl"])
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
		want  []string
	}{
		"unknown key of ours": {files: []string{"a.ini", "[dalang]\n# text\nlistn = x\n"},
			want: []string{"a.ini:3: unknown setting dalang.listn", "[dalang] has admins, allow-cleartext, data, listen,"}},
		"all at once": {files: []string{"a.ini", "[dlo]\nmax = 1\n[database]\nnode-ttl = 7\n[jetty]\nport = http\n"},
			want: []string{"a.ini:2: unknown setting dlo.max", `a.ini:4: database.node-ttl: "7" is not a duration`,
				`a.ini:6: jetty.port: "http" is not a whole number`}},
		"twice in a file": {files: []string{"a.ini", "[jetty]\nport = 1\nPort = 1\n"},
			want: []string{"a.ini:3: jetty.port is given twice: also at line 2"}},
		"twice in a directory": {files: []string{"a.ini", "[jetty]\nport = 1\n", "b.ini", "[jetty]\nport = 1\n"},
			want: []string{"b.ini:2: jetty.port is given twice: also at ", "a.ini:2"}},
		"old and new name": {files: []string{"a.ini", "[puppetdb]\ncertificate-whitelist = a\ncertificate-allowlist = b\n"},
			want: []string{"a.ini:2: certificate-whitelist is the old name of certificate-allowlist, which is given at ", "a.ini:3"}},
		"no section":           {files: []string{"a.ini", "port = 1\n"}, want: []string{"a.ini:1: port stands before the first [section]"}},
		"not INI":              {files: []string{"a.ini", "[jetty]\nport\n"}, want: []string{"a.ini: ", "port"}},
		"variable":             {env: "DALANG_LOG_FORMAT=xml", want: []string{`log.format: "xml" is not one of text, json (environment variable DALANG_LOG_FORMAT)`}},
		"variable, form":       {env: "DALANG_ALLOW_CLEARTEXT=yes", want: []string{`environment variable DALANG_ALLOW_CLEARTEXT: "yes" is neither true nor false`}},
		"flag":                 {flags: map[string]string{"dalang.max-body": "big"}, want: []string{`--set dalang.max-body: "big" is not a size`}},
		"unknown flag":         {flags: map[string]string{"dalang.x": "1"}, want: []string{`there is no setting "dalang.x"`}},
		"events beyond report": {flags: map[string]string{"database.resource-events-ttl": "15d"}, want: []string{`The "database" resource-events-ttl must not be longer than report-ttl`}},
		"negative interval":    {flags: map[string]string{"database.gc-interval": "-1"}, want: []string{"must not be negative"}},
		"nowhere to listen":    {flags: map[string]string{"dalang.listen": "none"}, want: []string{"neither a cleartext nor a TLS address"}},
		"TLS without files": {flags: map[string]string{"dalang.tls-listen": ":8081"},
			want: []string{"jetty.ssl-cert: TLS needs a certificate", "jetty.ssl-key: ", "jetty.ssl-ca-cert: client-auth need needs it"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Flags: c.flags, Env: []string{c.env}}
			if c.files != nil {
				o.Path = write(t, c.files...)
			}
			_, err := Load(o)
			require.Error(t, err)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
	_, err := Load(Options{Path: "testdata/nowhere"})
	require.ErrorContains(t, err, "testdata/nowhere: no such file or directory")
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

// Every default survives being written and read.
func TestRoundTrip(t *testing.T) {
	defaults := Default()
	for _, k := range Keys() {
		var c Config
		require.NoError(t, k.set(&c, k.Text(&defaults)), k.String())
		require.Equal(t, k.Text(&defaults), k.Text(&c), k.String())
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("[jetty]\nhost = ::1\nport=1\n; c\n# d\n[a b]\nk: v\n"))
	f.Add([]byte("\xef\xbb\xbf[a]\n\"k\" = \"v\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parse("f", data)
		if err != nil {
			return
		}
		for _, e := range entries {
			require.Equal(t, strings.ToLower(e.section), e.section)
			require.Equal(t, strings.ToLower(e.key), e.key)
		}
	})
}
