package classifier

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

// web is a node with facts of every kind.
func web() *Node {
	return &Node{Name: "web1.example.com", Facts: map[string]json.RawMessage{
		"kernel": json.RawMessage(`"Linux"`), "virtual": json.RawMessage("true"), "mem": json.RawMessage("512"), "load": json.RawMessage("0.50"),
		"size": json.RawMessage(`" 7 "`), "ram": json.RawMessage(`"512"`), "none": json.RawMessage("null"), "big": json.RawMessage("1e3"),
		"os":      json.RawMessage(`{"name":"Debian","release":{"major":"12","minor":11},"0":"zero","empty":"","a.b":"dotted"}`),
		"disks":   json.RawMessage(`[{"size":10},{"size":20}]`),
		"trusted": json.RawMessage(`{"certname":"web1.example.com","extensions":{"pp_role":"web","1.3.6.1":"oid"},"authenticated":"remote"}`),
	}}
}

func TestMatches(t *testing.T) {
	for rule, want := range map[string]bool{
		`["=","name","web1.example.com"]`:                 true,
		`["=","name","web1"]`:                             false,
		`["~","name","^web\\d+\\."]`:                      true,
		`["~","name","web2"]`:                             false,
		`["~","name",".*"]`:                               true,
		`[">","name","1"]`:                                false,
		`["=",["fact","kernel"],"Linux"]`:                 true,
		`["=",["fact","kernel"],"linux"]`:                 false,
		`["~",["fact","kernel"],"inu"]`:                   true,
		`["~",["fact","kernel"],"^inu"]`:                  false,
		`["=",["fact","virtual"],"true"]`:                 true,
		`["=",["fact","virtual"],"True"]`:                 false,
		`["=",["fact","mem"],"512"]`:                      true,
		`["=",["fact","mem"],"512.0"]`:                    false,
		`["=",["fact","load"],"0.50"]`:                    true,
		`[">=",["fact","mem"],"512"]`:                     true,
		`[">",["fact","mem"],"512"]`:                      false,
		`["<",["fact","mem"],"512.5"]`:                    true,
		`["<=",["fact","load"],"0.5"]`:                    true,
		`[">",["fact","ram"],"60"]`:                       true, // as numbers, not as texts
		`[">",["fact","big"],"999"]`:                      true,
		`[">",["fact","size"],"1"]`:                       false, // no number: blanks
		`[">",["fact","kernel"],"1"]`:                     false,
		`["<=",["fact","kernel"],"1"]`:                    false,
		`[">",["fact","mem"],"x"]`:                        false,
		`["<=",["fact","mem"],"x"]`:                       false,
		`["<",["fact","mem"],"0x400"]`:                    false,
		`["<",["fact","mem"],"Inf"]`:                      false,
		`["=",["fact","missing"],""]`:                     false,
		`["~",["fact","missing"],".*"]`:                   false,
		`["=",["fact","none"],"null"]`:                    false,
		`["=",["fact","none"],""]`:                        false,
		`["~",["fact","os"],".*"]`:                        false, // an object
		`["=",["fact","os","name"],"Debian"]`:             true,
		`["=",["fact","os","release","minor"],"11"]`:      true,
		`["=",["fact","os","empty"],""]`:                  true,
		`["=",["fact","os","release","major","x"],"12"]`:  false,
		`["=",["fact","os","0"],"zero"]`:                  true,
		`["=",["fact","os",0],"zero"]`:                    false, // an index is not a key
		`["=",["fact","os","a.b"],"dotted"]`:              true,
		`["=",["fact","os.name"],"Debian"]`:               false,
		`["=",["fact","disks",1,"size"],"20"]`:            true,
		`["=",["fact","disks",2,"size"],"20"]`:            false,
		`["=",["fact","disks","1","size"],"20"]`:          false,
		`["=",["trusted","certname"],"web1.example.com"]`: true,
		`["=",["trusted","extensions","pp_role"],"web"]`:  true,
		`["~",["trusted","extensions","1.3.6.1"],"oid"]`:  true,
		`["=",["trusted","extensions","pp_zone"],"web"]`:  false,
		`["=",["fact","trusted","certname"],"x"]`:         false,
		`["and"]`:                              true,
		`["or"]`:                               false,
		`["not",["or"]]`:                       true,
		`["not",["=",["fact","missing"],"x"]]`: true,
		`["and",["~","name","web"],["=",["fact","mem"],"1"]]`:                                          false,
		`["or",["~","name","db"],["=",["fact","mem"],"512"]]`:                                          true,
		`["or",["=","name","a"],["=","name","b"]]`:                                                     false,
		`["or",["and"],["=","name","b"]]`:                                                              true,
		`["or",["not",["~","name","web"]],["=","name","web"]]`:                                         false,
		`["and",["or",["=","name","web1.example.com"]],["and",["not",["=",["fact","kernel"],"BSD"]]]]`: true,
	} {
		r, err := ParseRule(json.RawMessage(rule))
		require.NoError(t, err, rule)
		n := web()
		require.Equal(t, want, r.Matches(n), rule)
		require.Equal(t, want, r.Matches(n), "%s, and again", rule)
		text, err := json.Marshal(r)
		require.NoError(t, err)
		require.JSONEq(t, rule, string(text))
	}
	var none *Rule
	require.False(t, none.Matches(web()))
	text, err := json.Marshal(none)
	require.NoError(t, err)
	require.Equal(t, "null", string(text))
}

func TestFacts(t *testing.T) {
	r, err := ParseRule(json.RawMessage(`["or",["=","name","a"],["not",["=",["trusted","certname"],"a"]],["and",["~",["fact","os","x"],"a"],[">",["fact","os"],"1"],["=",["fact","a"],"b"]]]`))
	require.NoError(t, err)
	require.Equal(t, []string{"a", "os", "trusted"}, r.Facts())
}

func TestBadRules(t *testing.T) {
	for rule, want := range map[string]string{
		`{}`:                          "rule must be a condition",
		`[]`:                          "rule must be a condition",
		`"x"`:                         "rule must be a condition",
		`[1]`:                         "rule[0] must be an operator",
		`["xor",["and"]]`:             `rule[0] must be one of`,
		`["not"]`:                     "not takes one condition, and has 0",
		`["not",["and"],["and"]]`:     "not takes one condition, and has 2",
		`["and","x"]`:                 "rule[1] must be a condition",
		`["and",["or",["="]]]`:        "rule[1][1]: = takes a path and a value",
		`["=","name","a","b"]`:        "takes a path and a value, and has 3 operands",
		`["=","certname","a"]`:        `rule[1] must be "name" or an array`,
		`["=",["fact"],"a"]`:          `rule[1] must be "name" or an array`,
		`["=",["facts","a"],"a"]`:     `rule[1][0] must be "fact" or "trusted"`,
		`["=",[1,"a"],"a"]`:           `rule[1][0] must be "fact" or "trusted"`,
		`["=",["fact",1],"a"]`:        "rule[1][1] must be a name, and is 1",
		`["=",["fact","a",-1],"a"]`:   "rule[1][2] must be a name or an index, and is -1",
		`["=",["fact","a",1.5],"a"]`:  "rule[1][2] must be a name or an index",
		`["=",["fact","a",null],"a"]`: "rule[1][2] must be a name or an index",
		`["=",["fact","a"],true]`:     "rule[2] must be a string, also for numbers and booleans, and is true",
		`["=",["fact","a"],512]`:      "rule[2] must be a string",
		`["=",["fact","a"],null]`:     "rule[2] must be a string",
		`["=",{},"a"]`:                `rule[1] must be "name" or an array`,
		`["~","name","(?=a)"]`:        "is not supported",
		`["~","name","(a)\\1"]`:       "is not supported",
		`["~","name","("]`:            "is not supported",
		`["~","name","a++b"]`:         "is not supported",
		`["~","name","` + strings.Repeat("a", 5000) + `"]`:                  "longer than 4096 bytes",
		strings.Repeat(`["not",`, 60) + `["and"]` + strings.Repeat("]", 60): "deeper than 50 conditions",
		`["=",["fact"` + strings.Repeat(`,"a"`, 60) + `],"a"]`:              `rule[1] must be "name" or an array`,
	} {
		_, err := ParseRule(json.RawMessage(rule))
		require.ErrorContains(t, err, want, rule)
		status, kind := http.StatusBadRequest, "schema-violation"
		if rule[1] == '"' && rule[2] == '~' {
			status, kind = http.StatusUnprocessableEntity, "untranslatable-rule"
		}
		require.Equal(t, status, BadRule(err).Status, rule)
		require.Equal(t, kind, BadRule(err).Kind)
	}
	for _, none := range []string{"", "null", " null "} {
		r, err := ParseRule(json.RawMessage(none))
		require.NoError(t, err)
		require.Nil(t, r)
	}
}

func TestPin(t *testing.T) {
	for _, c := range []struct{ rule, pin, want, back string }{
		{`null`, "a", `["or",["=","name","a"]]`, `null`},
		{`null`, "a b a", `["or",["=","name","a"],["=","name","b"]]`, `null`},
		{`["=","name","a"]`, "a", `["=","name","a"]`, `null`},
		{`["=","name","a"]`, "b", `["or",["=","name","a"],["=","name","b"]]`, `["or",["=","name","a"]]`},
		{`["~","name","x"]`, "a", `["or",["~","name","x"],["=","name","a"]]`, `["~","name","x"]`},
		{`["and",["=","name","a"]]`, "a", `["or",["and",["=","name","a"]],["=","name","a"]]`, `["and",["=","name","a"]]`},
		{`["or",["~","name","x"],["~","name","y"]]`, "a", `["or",["~","name","x"],["~","name","y"],["=","name","a"]]`, `["or",["~","name","x"],["~","name","y"]]`},
	} {
		r, err := ParseRule(json.RawMessage(c.rule))
		require.NoError(t, err)
		names := strings.Fields(c.pin)
		pinned := r.Pin(names...)
		require.JSONEq(t, c.want, text(t, pinned), c.rule)
		require.Subset(t, pinned.Pinned(), names)
		require.True(t, pinned.Matches(&Node{Name: names[0]}))
		require.JSONEq(t, c.back, text(t, pinned.Unpin(names...)), c.rule)
		require.JSONEq(t, c.want, text(t, pinned.Unpin("stranger")))
		require.JSONEq(t, c.rule, text(t, r), "a rule is not changed")
	}
}

// TestManyPins: the cost of a node does not grow with the number of pins.
func TestManyPins(t *testing.T) {
	var names []string
	for i := range 10_000 {
		names = append(names, fmt.Sprintf("node%d", i))
	}
	var r *Rule
	r = r.Pin(names...)
	require.Len(t, r.names, len(names))
	require.Empty(t, r.others)
	again, err := ParseRule(json.RawMessage(text(t, r)))
	require.NoError(t, err)
	require.Len(t, again.names, len(names))
	require.Len(t, r.Unpin(names[1:]...).Pinned(), 1)
}

func text(t *testing.T, r *Rule) string {
	t.Helper()
	b, err := json.Marshal(r)
	require.NoError(t, err)
	return string(b)
}

func TestTranslate(t *testing.T) {
	for _, c := range []struct{ rule, nodes, inventory string }{
		{`["=","name","a"]`, `["=","certname","a"]`, `["=","certname","a"]`},
		{`["=","name","5"]`, `["=","certname","5"]`, `["=","certname","5"]`},
		{`["~","name","<a>"]`, `["~","certname","<a>"]`, `["~","certname","<a>"]`},
		{`[">","name","5"]`, ``, ``},
		{`["=",["fact","is_spaceship"],"true"]`, `["or",["=",["fact","is_spaceship"],"true"],["=",["fact","is_spaceship"],true]]`,
			`["or",["=","facts.is_spaceship","true"],["=","facts.is_spaceship",true]]`},
		{`["=",["fact","a"],"-007.50"]`, `["or",["=",["fact","a"],"-007.50"],["=",["fact","a"],-7.50]]`, `["or",["=","facts.a","-007.50"],["=","facts.a",-7.50]]`},
		{`["=",["fact","a"],"0"]`, `["or",["=",["fact","a"],"0"],["=",["fact","a"],0]]`, `["or",["=","facts.a","0"],["=","facts.a",0]]`},
		{`["=",["fact","a"],"b"]`, `["=",["fact","a"],"b"]`, `["=","facts.a","b"]`},
		{`[">=",["fact","a"],"+08"]`, `[">=",["fact","a"],8]`, `[">=","facts.a",8]`},
		{`[">=",["fact","a"],"b"]`, ``, ``},
		{`["=",["fact","os","family"],"b"]`, ``, `["=","facts.os.family","b"]`},
		{`["=",["fact","disks",0,"size"],"b"]`, ``, `["=","facts.disks[0].size","b"]`},
		{`["=",["fact","a.b","c"],"b"]`, ``, `["=","facts.\"a.b\".c","b"]`},
		{`["=",["fact","a.b",0],"b"]`, ``, ``},
		{`["=",["fact","a",0,0],"b"]`, ``, ``},
		{`["=",["fact","a","b[0]"],"b"]`, ``, ``},
		{`["=",["fact","a","\""],"b"]`, ``, ``},
		{`["=",["trusted","extensions","pp_role"],"b"]`, ``, `["=","trusted.extensions.pp_role","b"]`},
		{`["and",["not",["or",["=","name","a"]]],["and"],["or"]]`,
			`["and",["not",["or",["=","certname","a"]]],["~","certname",".*"],["not",["~","certname",".*"]]]`,
			`["and",["not",["or",["=","certname","a"]]],["~","certname",".*"],["not",["~","certname",".*"]]]`},
		{`["and",["=","name","a"],["not",["=",["trusted","a"],"b"]]]`, ``, `["and",["=","certname","a"],["not",["=","trusted.a","b"]]]`},
		{`null`, `null`, `null`},
	} {
		r, err := ParseRule(json.RawMessage(c.rule))
		require.NoError(t, err)
		for f, want := range map[Format]string{ForNodes: c.nodes, ForInventory: c.inventory} {
			got, err := r.Translate(f)
			if want == "" {
				var none *UntranslatableError
				require.ErrorAs(t, err, &none, "%s as %s", c.rule, f)
				require.Equal(t, "untranslatable-rule", Untranslatable(err, r).Kind)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, want, string(got), "%s as %s", c.rule, f)
		}
	}
}

// FuzzParseRule: what is read is written the same, and can be matched and
// translated.
func FuzzParseRule(f *testing.F) {
	for _, seed := range []string{`["and",["~",["fact","os",0,"x"],"a|b"],["not",["=","name","a"]]]`, `["or",[">=",["trusted","x"],"5"]]`, `null`, `[`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		r, err := ParseRule(json.RawMessage(in))
		if err != nil {
			return
		}
		once := text(t, r)
		again, err := ParseRule(json.RawMessage(once))
		require.NoError(t, err)
		require.Equal(t, once, text(t, again))
		require.Equal(t, r.Matches(web()), again.Matches(web()))
		for _, f := range []Format{ForNodes, ForInventory} {
			if q, err := r.Translate(f); err == nil {
				require.True(t, json.Valid(q), "%s", q)
			}
		}
		pinned := r.Pin("web1.example.com")
		require.True(t, pinned.Matches(web()))
	})
}

// refusedAs requires a *job.Error.
func refusedAs(t *testing.T, err error, status int, kind string) *job.Error {
	t.Helper()
	var e *job.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, kind, e.Kind, e.Msg)
	require.Equal(t, status, e.Status)
	return e
}
