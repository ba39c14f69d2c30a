package storetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/store"
	"dalang/wireformat"
)

const leaves = "SELECT p.encoded || '=' || l.value FROM fact_leaf l JOIN fact_path p ON p.id = l.path_id ORDER BY 1"

func testFacts(t *testing.T, open Open) {
	t.Run("values keep their text", func(t *testing.T) {
		b := start(t, open, nil)
		b.facts(outcome.Processed, "a", Day(99), `"n":12345678901234567890123,"f":10.0,"e":{},"l":[],"z":null,"s":{"5":true,"x":["y"]}`)
		require.Equal(t, []string{"{}", "10.0", "[]", "12345678901234567890123", `{"5":true,"x":["y"]}`, "null"},
			b.rows("SELECT f.value FROM fact f JOIN fact_name n ON n.id = f.name_id ORDER BY n.name"))
		require.Equal(t, []string{"f=10.0", "n=12345678901234567890123", `s#~"5"=true`, `s#~x#~0="y"`, "z=null"}, b.rows(leaves))
		require.Equal(t, []string{"10.0"}, b.rows("SELECT value FROM fact_leaf WHERE num < 100"), "ranges go by number")
	})
	t.Run("the whole set is replaced", func(t *testing.T) {
		b := start(t, open, nil)
		b.facts(outcome.Processed, "a", Day(90), `"gone":1,"same":{"k":1,"l":2},"changed":{"k":1,"l":2},"type":"1"`)
		b.facts(outcome.Processed, "a", Day(91), `"same":{"k":1,"l":2},"changed":{"k":3,"m":4},"type":1,"new":[1]`)
		require.Equal(t, []string{"changed#~k=3", "changed#~m=4", "new#~0=1", "same#~k=1", "same#~l=2", "type=1"}, b.rows(leaves))
		require.Equal(t, 4, b.count("fact"))
	})
	t.Run("any set follows any other", func(t *testing.T) {
		random := rand.New(rand.NewPCG(7, 7))
		b := start(t, open, nil)
		for n := range 60 {
			members := ""
			for name := range 8 {
				switch v := random.IntN(5); v {
				case 0: // no such fact
				case 1:
					members += fmt.Sprintf(`"f%d":{"a":%d,"b":[1,%d]},`, name, random.IntN(2), random.IntN(2))
				default:
					members += fmt.Sprintf(`"f%d":%d,`, name, v)
				}
			}
			members = strings.TrimSuffix(members, ",")
			b.facts(outcome.Processed, "a", Day(30).Add(time.Duration(n)*time.Minute), members)
			fresh := start(t, open, nil)
			fresh.facts(outcome.Processed, "a", Day(30), members)
			for _, query := range []string{leaves, "SELECT n.name || f.value FROM fact f JOIN fact_name n ON n.id = f.name_id ORDER BY 1", "SELECT hex(sums) FROM factset"} {
				require.Equal(t, fresh.rows(query), b.rows(query), members)
			}
		}
	})
	for _, tt := range []struct {
		name   string
		second int
		want   outcome.Status
		value  string
	}{
		{"later is applied", 91, outcome.Processed, "2"},
		{"equal is applied", 90, outcome.Processed, "2"},
		{"earlier is stale", 89, outcome.Stale, "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, open, nil)
			first := b.facts(outcome.Processed, "a", Day(90), `"n":1`)
			second := b.facts(tt.want, "a", Day(tt.second), `"n":2`)
			require.Len(t, second.Hash, 40)
			require.NotEqual(t, first.Hash, second.Hash)
			require.Equal(t, []string{tt.value}, b.rows("SELECT value FROM fact"))
		})
	}
	t.Run("metadata changes though the facts do not", func(t *testing.T) {
		b := start(t, open, nil)
		b.facts(outcome.Processed, "a", Day(90), `"n":1`)
		b.apply(outcome.Processed, wireformat.ReplaceFacts,
			`{"certname":"a","environment":"production","producer":null,"producer_timestamp":"2026-04-20","values":{"n":1}}`)
		require.Equal(t, []string{"NULL"}, b.rows("SELECT producer_id FROM factset"))
		require.Equal(t, []string{"1776643200000"}, b.rows("SELECT facts_producer_timestamp FROM node"))
	})
	t.Run("no environment, no producer", func(t *testing.T) {
		b := start(t, open, nil)
		b.apply(outcome.Processed, wireformat.ReplaceFacts, `{"certname":"a","environment":null,"producer":null,"producer_timestamp":1000,"values":{}}`)
		require.Equal(t, []string{"NULL"}, b.rows("SELECT facts_environment_id FROM node"))
		require.Zero(t, b.count("environment"))
	})
}

func testPackages(t *testing.T, open Open) {
	const all = "SELECT name || version || provider FROM package ORDER BY 1"
	b := start(t, open, nil)
	b.facts(outcome.Processed, "a", Day(90), "", `,"package_inventory":[["p","1","apt"],["q","1","apt"],["p","1","apt"]]`)
	b.facts(outcome.Processed, "b", Day(90), "", `,"package_inventory":[["p","1","apt"]]`)
	require.Equal(t, []string{"p1apt", "q1apt"}, b.rows(all))
	require.Equal(t, 3, b.count("node_package"))
	b.facts(outcome.Processed, "a", Day(91), "", `,"package_inventory":[["p","2","apt"]]`)
	require.Equal(t, []string{"p1apt", "p2apt"}, b.rows(all), "what nobody has any more goes at once")
	b.facts(outcome.Processed, "a", Day(92), "")
	require.Equal(t, []string{"p1apt"}, b.rows(all), "facts without packages delete the node's")
	b.facts(outcome.Processed, "a", Day(93), "", `,"package_inventory":[["p","2","apt"]]`)
	require.Equal(t, []string{"p1apt", "p2apt"}, b.rows(all), "a deleted package is not remembered")
}

func testBlocklist(t *testing.T, open Open) {
	const members = `"keep":1,"drop":1,"networking":{"interfaces":{"veth0":{"ip":"x"},"veth1":{"ip":"y"},"eth0":{"ip":"10.0"}},"big":12345678901234567890},"blue":1,"blues":1`
	for _, tt := range []struct {
		name, kind string
		entries    []string
		want       []string
	}{
		{"literal", "literal", []string{"drop", "networking"}, []string{"blue=1", "blues=1", "keep=1"}},
		{"regex matches the whole name", "regex", []string{"bl.e", "net.*"}, []string{"blues=1", "drop=1", "keep=1"}},
		{"dotted path", "", []string{"networking.interfaces.veth*", "networking.none.x", "blue*"},
			[]string{"drop=1", "keep=1", "networking#~big=12345678901234567890", `networking#~interfaces#~eth0#~ip="10.0"`}},
		{"keys hold anything", "", []string{"networking.interfaces.veth[0]", "networking.interfaces.*h0", "mountpoints./var/*", "blue?", "net*g.big"},
			[]string{"blue=1", "blues=1", "drop=1", "keep=1", `networking#~interfaces#~veth1#~ip="y"`}},
		{"whole container", "", []string{"networking.interfaces", "keep.x"},
			[]string{"blue=1", "blues=1", "drop=1", "keep=1", "networking#~big=12345678901234567890"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list, err := store.NewBlocklist(tt.entries, tt.kind)
			require.NoError(t, err)
			b := start(t, open, func(c *store.Config) { c.Blocklist = list })
			blocked := b.facts(outcome.Processed, "a", Day(90), members)
			require.Equal(t, tt.want, b.rows(leaves))
			free := start(t, open, nil).facts(outcome.Processed, "a", Day(90), members)
			require.NotEqual(t, free.Hash, blocked.Hash, "the hash is of what is stored")
		})
	}
	for name, entries := range map[string][]string{"regex": {"(?=x)"}, "glob": {"a"}, "literal": {"a..b"}} {
		_, err := store.NewBlocklist(entries, name)
		require.Error(t, err, name)
	}
}
