package pxp_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/orchestrator/pxp"
)

// flags are those that a deploy makes.
func flags(t *testing.T, d job.Deploy) []string {
	t.Helper()
	text, err := pxp.PuppetRun(d, "81")
	require.NoError(t, err)
	var params struct {
		Flags []string
		Job   string
	}
	require.NoError(t, json.Unmarshal(text, &params))
	require.Equal(t, "81", params.Job)
	require.NotNil(t, params.Flags)
	return params.Flags
}

func ptr[T any](v T) *T { return &v }

func TestPuppetRun(t *testing.T) {
	text, err := pxp.PuppetRun(job.Deploy{}, "81")
	require.NoError(t, err)
	require.JSONEq(t, `{"flags":[],"job":"81"}`, string(text))
	n := func(n int64) *int64 { return &n }
	for name, c := range map[string]struct {
		deploy job.Deploy
		want   string
	}{
		"environment":              {job.Deploy{Environment: "production", EnforceEnvironment: true}, "--environment production"},
		"environment not enforced": {job.Deploy{Environment: "production"}, ""},
		"no environment":           {job.Deploy{EnforceEnvironment: true}, ""},
		"noop":                     {job.Deploy{Noop: true}, "--noop"},
		"no_noop":                  {job.Deploy{NoNoop: true}, "--no-noop"},
		"both ways": {job.Deploy{UseCachedCatalog: ptr(true), Usecacheonfailure: ptr(false)},
			"--use_cached_catalog --no-usecacheonfailure"},
		"the other ways": {job.Deploy{UseCachedCatalog: ptr(false), Usecacheonfailure: ptr(true)},
			"--no-use_cached_catalog --usecacheonfailure"},
		"all": {job.Deploy{Environment: "dev", EnforceEnvironment: true, Noop: true, Debug: true, Trace: true, Evaltrace: true, Filetimeout: n(1),
			HTTPConnectTimeout: n(2), HTTPKeepaliveTimeout: n(3), HTTPReadTimeout: n(0), Ordering: ptr("title-hash"), Tags: ptr(" a, b::c "),
			SkipTags: ptr("d"), UseCachedCatalog: ptr(true), Usecacheonfailure: ptr(true)},
			"--environment dev --noop --debug --trace --evaltrace --filetimeout 1 --http_connect_timeout 2 --http_keepalive_timeout 3 " +
				"--http_read_timeout 0 --ordering title-hash --tags a,b::c --skip_tags d --use_cached_catalog --usecacheonfailure"},
		"equal timeouts": {job.Deploy{Filetimeout: n(30), HTTPConnectTimeout: n(30), HTTPKeepaliveTimeout: n(30), HTTPReadTimeout: n(30)},
			"--filetimeout 30 --http_connect_timeout 30s --http_keepalive_timeout 030 --http_read_timeout 030s"},
		"all equal": {job.Deploy{Environment: "30", EnforceEnvironment: true, Filetimeout: n(30), HTTPReadTimeout: n(30), Tags: ptr("30"), SkipTags: ptr("30")},
			"--environment 30 --filetimeout 30s --http_read_timeout 030 --tags 30, --skip_tags 30,,"},
		"tags like the environment": {job.Deploy{Environment: "web", EnforceEnvironment: true, Tags: ptr("web"), SkipTags: ptr("web,db")},
			"--environment web --tags web, --skip_tags web,db"},
		"tags that end in a comma": {job.Deploy{Tags: ptr("a,"), SkipTags: ptr("a,")}, "--tags a, --skip_tags a,,"},
		"no tags":                  {job.Deploy{Tags: ptr(" "), SkipTags: ptr("")}, ""},
		"tags like the ordering":   {job.Deploy{Ordering: ptr("manifest"), Tags: ptr("manifest")}, "--ordering manifest --tags manifest,"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, strings.Fields(c.want), append([]string{}, flags(t, c.deploy)...))
		})
	}
	for key, d := range map[string]job.Deploy{
		"environment": {Environment: "no way", EnforceEnvironment: true}, "ordering": {Ordering: ptr("a;b")}, "tags": {Tags: ptr("--debug")},
		"skip_tags": {SkipTags: ptr("ü")},
	} {
		_, err := pxp.PuppetRun(d, "81")
		var e *job.Error
		require.ErrorAs(t, err, &e, key)
		require.Equal(t, "puppetlabs.orchestrator/validation-error", e.Kind)
		require.Equal(t, key, e.Details["key"])
		require.Contains(t, e.Msg, "letters, digits")
	}
	_, err = pxp.PuppetRun(job.Deploy{Environment: "random", EnforceEnvironment: true, Ordering: ptr("random")}, "81")
	require.ErrorContains(t, err, `agents cannot take ordering "random" beside another setting of the same value`)
}

// union is what upstream's module makes of flags, and what Puppet then reads:
// the values of settings.
func union(t testing.TB, given []string) map[string]string {
	item := regexp.MustCompile(`\A[a-zA-Z0-9_:,.\-]+\z`)
	var all []string
	for _, flag := range append(slices.Clone(given), "--onetime", "--no-daemonize", "--verbose") {
		require.Regexp(t, item, flag)
		if !slices.Contains(all, flag) {
			all = append(all, flag)
		}
	}
	settings := map[string]string{}
	for i := 0; i < len(all); i++ {
		name := strings.TrimPrefix(all[i], "--")
		switch name {
		case "environment", "filetimeout", "http_connect_timeout", "http_keepalive_timeout", "http_read_timeout", "ordering", "tags", "skip_tags":
			i++
			require.Less(t, i, len(all), "%s has no value in %q", name, all)
			settings[name] = all[i]
		default:
			require.True(t, strings.HasPrefix(all[i], "--"), "%q in %q is no flag", all[i], all)
			settings[name] = ""
		}
	}
	return settings
}

// FuzzPuppetRun: whatever is asked for is what Puppet gets, the set union of
// upstream's module notwithstanding.
func FuzzPuppetRun(f *testing.F) {
	f.Add("production", "production", "production", "manifest", int64(30), int64(30), int64(30), int64(30))
	f.Add("30", "30s", "030", "random", int64(30), int64(30), int64(3), int64(0))
	f.Fuzz(func(t *testing.T, environment, tags, skip, ordering string, a, b, c, d int64) {
		deploy := job.Deploy{Environment: environment, EnforceEnvironment: true, Tags: &tags, SkipTags: &skip, Ordering: &ordering, Noop: true,
			Filetimeout: &a, HTTPConnectTimeout: &b, HTTPKeepaliveTimeout: &c, HTTPReadTimeout: &d}
		if _, err := pxp.PuppetRun(deploy, "1"); err != nil {
			return // told
		}
		got := union(t, flags(t, deploy))
		for name, want := range map[string]int64{"filetimeout": a, "http_connect_timeout": b, "http_keepalive_timeout": c, "http_read_timeout": d} {
			n, err := strconv.ParseInt(strings.TrimSuffix(got[name], "s"), 10, 64)
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		require.Equal(t, environment, got["environment"])
		require.Equal(t, ordering, got["ordering"])
		for name, want := range map[string]string{"tags": tags, "skip_tags": skip} {
			require.Equal(t, split(strings.Join(strings.Fields(want), "")), split(got[name]))
		}
		for _, name := range []string{"onetime", "no-daemonize", "verbose", "noop"} {
			require.Contains(t, got, name)
		}
	})
}

// split reads a list as Ruby does, which drops empty ones at the end.
func split(list string) []string {
	parts := strings.Split(list, ",")
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	return parts
}
