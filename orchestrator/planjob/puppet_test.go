package planjob

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/content"
	"dalang/orchestrator/ptype"
)

// TestSecretParams: plans in the Puppet language have their secrets by the same
// rule as YAML plans.
func TestSecretParams(t *testing.T) {
	alias := func(name string) *ptype.Type {
		if name != "My::Password" {
			return nil
		}
		of, err := ptype.Parse("Sensitive[String]")
		require.NoError(t, err)
		return of
	}
	params := map[string]any{"a": "x", "b": "x", "c": "x", "d": nil}
	for text, want := range map[string][]string{
		"plan m(String $a, Sensitive[String] $b, $c) {}": {"b"},
		"plan m::n(\n  Array[Sensitive[String]] $a,\n  Struct[{pw => Sensitive[String], user => String}] $b,\n  String $c = 'x',\n) { $x = 1 }":                      {"a", "b"},
		"# plan x(String $b)\n/* plan y */ plan m(String /* Sensitive */ $a, # Sensitive\n Integer $b, Hash[String, Tuple[Integer, Sensitive]] $c, Sensitive $d) {}": {"c"},
		"plan m(Enum['Sensitive', 'b,c'] $a = 'Sensitive[', Pattern[/a,\\/]Sensitive/] $b = {x => [1, $a], y => f(2, 3)}, Optional[Sensitive] $c) {}":                {"c"},
		"plan m(Variant[String,Sensitive[String]] $a, My::List[Sensitive] $b, My::Sensitive $c = 4 / 2) {}":                                                          {"a", "b"},
		"plan m(String[1, -1] $a, Integer[-5, 1] $b, Float[1.5] $c) {}":                                                                                              nil,
		"plan m(String $a, Sensitive[\u00e9] $b, String $c) {}":                                                                                                      {"b"},
		"plan m(Optional[My::Password] $a, My::Port $b, $c) {}":                                                                                                      {"a"},
		"plan m(String $a) {}":    {"b", "c"}, // which it does not take
		"plan m {}":               {"a", "b", "c"},
		"plan m(String $a, ":      {"a", "b", "c"},
		"plan m(String $a = f(":   {"a", "b", "c"},
		"function m(String $a) {": {"a", "b", "c"},
		"plan":                    {"a", "b", "c"},
		"":                        {"a", "b", "c"},
		"plan m(String $a = @(END), String $b, $c)\n it's\n END\n":       nil,
		"plan m(String $a = @(END),\n it's\n END\n Sensitive $b, $c) {}": {"a", "b", "c"},
	} {
		require.Equal(t, want, secretParams(&content.Plan{Text: []byte(text), Alias: alias}, params), text)
	}
}

func FuzzSecretParams(f *testing.F) {
	for _, s := range []string{"plan m(Array[Sensitive[String]] $a = 'x', $b) {}", "plan m(String $a = \"x", "plan m(Pattern[/\\", "/* #"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		secretParams(&content.Plan{Text: []byte(text)}, map[string]any{"a": 1})
		types, known := parameterTypes("plan m(Sensitive[String] $zz, " + text)
		if known {
			require.True(t, secretType(types["zz"], nil) || types["zz"] != "Sensitive[String]")
		}
	})
}
