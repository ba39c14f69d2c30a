package plan

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sample is the variables of these tests.
func sample(t testing.TB) map[string]any {
	vars := object(t, `{"n":7,"f":1.5,"s":"Hello","list":[1,2,3],"words":["b","A","c"],"hash":{"k":"v","deep":{"er":[10,20]}},"no":false,"nothing":null}`)
	vars["set"] = &ResultSet{[]*Result{
		{Target: "a", Action: "command", Object: "x", Value: map[string]any{"stdout": "one", "exit_code": json.Number("0")}},
		{Target: "b", Action: "command", Object: "x", Value: map[string]any{"_output": "two",
			"_error": map[string]any{"kind": "k", "msg": "m", "details": map[string]any{"d": true}}}},
	}}
	vars["secret"] = Sensitive{"hush"}
	vars["none"] = &ResultSet{}
	return vars
}

func evaluate(t testing.TB, code bool, source string) (any, error) {
	vars := sample(t)
	parse := parseText
	if code {
		parse = parseCode
	}
	e, err := parse(source, 1, func(name string) bool { _, ok := vars[name]; return ok })
	if err != nil {
		return nil, err
	}
	work := 100_000
	return e.eval(&scope{ctx: context.Background(), vars: vars, work: &work})
}

func TestExpressions(t *testing.T) {
	for source, want := range map[string]string{
		// values
		`1`: `1`, `-5`: `-5`, `0x1F`: `31`, `017`: `15`, `1.50`: `1.5`, `2e3`: `2000.0`, `'a\'b\n'`: `"a'b\\n"`, `"a\tb\$s ${n}"`: `"a\tb$s 7"`,
		`true`: `true`, `undef`: `null`, `default`: `"default"`, `[1, 'a', [],]`: `[1,"a",[]]`, `{'a' => 1, b2() => 2}`: ``, `{'a' => {1 => 2}}`: `{"a":{"1":2}}`,
		// texts that follow what they need
		"$x = 1\n\"a${x} $x ${x + 1}\"": `"a1 1 2"`, `$list.map |$x| { "v${x}" }.join`: `"v1v2v3"`, "$list.map |$x| { $y = $x\n\"$y\" }": `["1","2","3"]`,
		`"${list.map |$x| { "<${x}>" }.join}"`: `"<1><2><3>"`,
		`# what it is` + "\n$n # seven":        `7`, `($n)`: `7`,
		// arithmetic
		`$n + 1`: `8`, `$n - 1 - 2`: `4`, `2 + 3 * 4`: `14`, `(2 + 3) * 4`: `20`, `7 / 2`: `3`, `-7 / 2`: `-4`, `-7 % 3`: `2`, `7 % -3`: `-2`,
		`7.0 / 2`: `3.5`, `$f * 2`: `3.0`, `'3' + 4`: `7`, `- $n`: `-7`, `-$n + 10`: `3`, `9223372036854775806 + 1`: `9223372036854775807`,
		`$list + 4`: `[1,2,3,4]`, `$list + [4, 5]`: `[1,2,3,4,5]`, `$list - [2]`: `[1,3]`, `$hash + {'k' => 1} - 'deep'`: `{"k":1}`, `$list[0]+$n`: `8`,
		// comparison
		`$s == 'hello'`: `true`, `$s != 'x'`: `true`, `1 == 1.0`: `true`, `'1' == 1`: `false`, `[1, 'A'] == [1.0, 'a']`: `true`, `$nothing == undef`: `true`,
		`{'a' => 1} == {'a' => 1}`: `true`, `1 < 2`: `true`, `2 <= 2.0`: `true`, `'a' < 'B'`: `true`, `3 > 2 == true`: ``, `!$no`: `true`, `! $nothing`: `true`,
		`1 + 1 == 2 and 3 > 2`: `true`, `$no or $n`: `true`, `$no and $n[0]`: `false`, `$s =~ /^H.l+o$/`: `true`, `$s !~ /x/`: `true`, `$s =~ /(?<!x)\h/`: `true`,
		`2 in $list`: `true`, `'a' in $words`: `true`, `'ELL' in $s`: `true`, `'K' in $hash`: `true`, `/^c/ in $words`: `true`, `9 in $list`: `false`, `1 in 5`: `false`,
		`"$n" == '7'`: `true`,
		// indexes
		`$list[0]`: `1`, `$list[-1]`: `3`, `$list[9]`: `null`, `$list[1, 2]`: `[2,3]`, `$list[0, -2]`: `[1,2]`, `$hash['deep']['er'][1]`: `20`, `$hash[nothing]`: ``,
		`$hash['x']`: `null`, `$s[0]`: `"H"`, `$s[1, 3]`: `"ell"`, `$set[1]['_output']`: `"two"`, `$set[0, 1].names`: `["a"]`,
		// functions
		`$list.join(', ')`: `"1, 2, 3"`, `join($list)`: `"123"`, `[1, [2, [3]]].join('-')`: `"1-2-3"`, `$list.first`: `1`, `$list.first(2)`: `[1,2]`, `$list.last`: `3`,
		`[].first`: `null`, `$s.length`: `5`, `$hash.size`: `2`, `$list.count`: `3`, `[].empty`: `true`, `''.empty`: `true`, `undef.empty`: `true`,
		`[[1], [[2]]].flatten`: `[1,2]`, `[1, 1.0, 1, 'a', 'A', 'a'].unique`: `[1,1.0,"a","A"]`, `$words.sort`: `["A","b","c"]`, `[3, 1.5].sort`: `[1.5,3]`,
		`$hash.keys`: `["deep","k"]`, `{'a' => 1}.values`: `[1]`, `$hash.dig('deep', 'er', 0)`: `10`, `$hash.dig('x', 'y')`: `null`, `$s.upcase`: `"HELLO"`,
		`$words.downcase`: `["b","a","c"]`, `'éa'.capitalize`: `"Éa"`, `' a '.strip`: `"a"`, `"a\r\n".chomp`: `"a"`, `'a,b,,'.split(',')`: `["a","b"]`,
		`'a1b22c'.split(/\d+/)`: `["a","b","c"]`, `'ab'.split('')`: `["a","b"]`, `String($f)`: `"1.5"`, `'0x10'.Integer`: `16`, `Integer(7.9)`: `7`,
		`$secret.unwrap`: `"hush"`, `$secret`: `"Sensitive [value redacted]"`, `$n.unwrap`: `7`,
		// blocks
		`$list.map |$x| { $x * 2 }`: `[2,4,6]`, `$list.map |$i, $x| { $i }`: `[0,1,2]`, `$hash.map |$k, $v| { $k }`: `["deep","k"]`, `$hash.map |$p| { $p[0] }`: `["deep","k"]`,
		`$list.filter |$x| { $x > 1 }`: `[2,3]`, `$hash.filter |$k, $v| { $k == 'k' }`: `{"k":"v"}`, `$list.any |$x| { $x == 2 }`: `true`, `$list.all |$x| { $x > 1 }`: `false`,
		`$list.reduce |$m, $x| { $m + $x }`: `6`, `$list.reduce(10) |$m, $x| { $m + $x }`: `16`, `[].reduce |$m, $x| { 1 }`: `null`,
		`$list.map |$x| { $list.map |$y| { $x * $y } }.flatten.join(' ')`: `"1 2 3 2 4 6 3 6 9"`, `$n.with |$x| { $y = $x + 1 $y * 2 }`: `16`,
		`$nothing.then |$x| { $x['a'] }`: `null`, "$a = 1\n$b = $a + 1\n[$a, $b]": `[1,2]`, "$list\n  .map |$x| {\n $x }\n  .last": `3`, `$n.with || { 1 }`: `1`,
		// results
		`$set.ok`: `false`, `$set.count`: `2`, `$set.ok_set.first['stdout']`: `"one"`, `$set.error_set.names`: `["b"]`, `$set.targets`: `["a","b"]`,
		`$set.find('b').error.kind`: `"k"`, `$set[1].error.details['d']`: `true`, `$set[1].error.issue_code`: `null`, `$set[0].error`: `null`, `$set[1].message`: `"two"`,
		`$set[0].status`: `"success"`, `$set[0].target.name`: `"a"`, `$set[0].target == 'A'`: `true`, `$set[0].action`: `"command"`, `$set.find('z')`: `null`,
		`$set.map |$r| { $r.target }`: `["a","b"]`, `$set.filter |$r| { $r.ok }.map |$r| { $r['stdout'] }`: `["one"]`,
		`$set.filter_set |$r| { !$r.ok }.names`: `["b"]`, `$set[1].value.keys`: `["_error","_output"]`, `$none.ok`: `true`, `$none.first`: `null`, `$none.empty`: `true`,
		`$set[0].to_data`: `{"action":"command","object":"x","status":"success","target":"a","value":{"exit_code":0,"stdout":"one"}}`,
	} {
		if want == "" { // below, with its error
			continue
		}
		v, err := evaluate(t, true, source)
		require.NoError(t, err, source)
		got, err := JSON(v)
		require.NoError(t, err)
		require.Equal(t, want, string(got), source)
	}
}

func TestInterpolation(t *testing.T) {
	for source, want := range map[string]string{
		"plain": "plain", "": "", "$s!": "Hello!", "${s}s": "Hellos", "${$s}": "Hello", "${ n }": "7", "${list[0]}": "1", "${list.join(',')}": "1,2,3",
		"${hash['deep']['er'][1]}": "20", "${$n + 1}": "8", "${n + 1}": "8", "${join($list, '-')}": "1-2-3", "$list": "[1, 2, 3]", "$hash": "{deep => {er => [10, 20]}, k => v}",
		"$no$nothing.": "false.", "$": "$", "cost: 5$": "cost: 5$", "$5": "$5", "$S": "$S", "a${'}'}b": "a}b", `${"x${n}y"}`: "x7y", "${list.map |$x| { $x + 1 }}": "[2, 3, 4]",
		"${{'a' => 1}['a']}": "1", `back\slash $n`: `back\slash 7`, "$s's": "Hello's", "$s::": "Hello::", "$none": "[]", "${true}": "true",
		"${set[0]}": `{"action":"command","object":"x","status":"success","target":"a","value":{"exit_code":0,"stdout":"one"}}`,
	} {
		v, err := evaluate(t, false, source)
		require.NoError(t, err, source)
		require.Equal(t, want, v, source)
	}
}

// TestRefused: what is beyond the subset fails when it is read.
func TestRefused(t *testing.T) {
	for source, want := range map[string]string{
		`$x`:                                "there is no variable $x here: it is neither a parameter nor the name of an earlier step",
		`{'a' => 1, b2() => 2}`:             "the function 'b2' cannot be called here",
		`run_command('x', $list)`:           "the function 'run_command' cannot be called here; a step with the key 'command' does that",
		`upload_file('x', 'y', $list)`:      "a step with the key 'upload' does that",
		`download_file('/x', 'y', $list)`:   "a step with the key 'download' does that",
		`out::message('x')`:                 "a step with the key 'message' does that",
		`if $n { 1 }`:                       "'if' is not a part of the Puppet language that YAML plans have here",
		`$n ? { 1 => 2 }`:                   "'?' begins nothing that an expression may hold",
		`case $n { 1: { 2 } }`:              "'case' is not a part",
		`$hash[nothing]`:                    "'nothing' is neither a variable ($nothing) nor a text ('nothing') nor called (nothing(…))",
		`Integer`:                           "the type Integer cannot be used in an expression here",
		`$n =~ Integer[1]`:                  "the type Integer cannot be used",
		`$list.join(1, 2)`:                  "the function 'join' takes 1 to 2 arguments, what stands before the point among them, and is given 3",
		`join()`:                            "the function 'join' cannot be called here without an argument",
		`$list.map`:                         "the function 'map' needs a block |…| {…}",
		`$list.join |$x| { 1 }`:             "the function 'join' takes no block",
		`$list.map |$x, $y, $z| { 1 }`:      "the block of 'map' takes at most 2 variables",
		`$list.map |x| { 1 }`:               "a variable expected between | and |, and there is 'x'",
		`$list.map |$x| { }`:                "an expression expected, and there is '}'",
		`$list.map |$x| { $x } $x`:          "there is no variable $x here",
		`1 +`:                               "an expression expected, and there is the end",
		`(1`:                                ") expected, and there is the end",
		`[1, 2`:                             "] expected, and there is the end",
		`{'a' = 1}`:                         "=> expected, and there is '='",
		`$list[]`:                           "an index, or an index and a length, expected within []",
		`'a`:                                "the text in single quotes does not end",
		`"a`:                                "the text in double quotes does not end",
		`/a`:                                "the regular expression does not end",
		`$s =~ /(/`:                         "the regular expression /(/ cannot be read",
		`1x`:                                "1x is not a number",
		`99999999999999999999`:              "is larger than an integer can be",
		`08`:                                "08 is not a number",
		`$n = 1`:                            "$n has a value already",
		`$a = 1`:                            "a block must end with an expression",
		`$foo::bar`:                         "$foo::…: variables of other modules are not known to plans",
		`$ n`:                               "$ must be followed by the name of a variable",
		`$N`:                                "$ must be followed by the name of a variable",
		`1 = 2`:                             "an expression expected, and there is '='",
		`$list.`:                            "the name of a function expected behind the point, and there is the end",
		`;`:                                 "';' begins nothing",
		`3 > 2 == true =>`:                  "an expression expected, and there is '=>'",
		strings.Repeat("(", 300):            "expressions nest deeper than 100",
		strings.Repeat("!", 300) + "1":      "expressions nest deeper than 100",
		strings.Repeat("[", 300):            "expressions nest deeper than 100",
		strings.Repeat(`"${`, 300):          "expressions nest deeper than 100",
		strings.Repeat("$n.with || {", 300): "expressions nest deeper than 100",
		``:                                  "an expression expected, and there is the end",
		`"${}"`:                             "${} holds no expression",
		`"${n"`:                             "the text in double quotes does not end",
		`"${n m}"`:                          "} expected at the end of ${…, and there is 'm'",
		`"$zzz"`:                            "there is no variable $zzz here",
		"$n\n+\n$zzz":                       "there is no variable $zzz here",
		`$list.nosuch`:                      "the function 'nosuch' cannot be called here",
		`$set.download_file('a')`:           "the function 'download_file' cannot be called here",
		`$list.each |$x| { 1 }`:             "the function 'each' cannot be called here",
	} {
		_, err := evaluate(t, true, source)
		var at *located
		require.ErrorAs(t, err, &at, source)
		require.ErrorContains(t, err, want, source)
	}
	_, err := evaluate(t, true, "$n\n+\n$zzz")
	require.Equal(t, 3, err.(*located).line)
}

// TestEvaluationErrors: what can only be seen when the plan runs.
func TestEvaluationErrors(t *testing.T) {
	for source, want := range map[string]string{
		`$s + 1`:                  "the operator '+' cannot be used on a String",
		`$hash + 1`:               "the operator '+' cannot be used on a Hash and a number",
		`$list * 2`:               "the operator '*' cannot be used on an Array",
		`1 / 0`:                   "division by zero",
		`1.0 / 0`:                 "the result of '/' is not a number",
		`1.5 % 2`:                 "the operator '%' is for integers",
		`9223372036854775807 + 1`: "the result of '+' is larger than an integer can be",
		`1 < 'a'`:                 "a number and a String cannot be compared by '<'",
		`$list < $list`:           "cannot be compared",
		`$nothing['a']`:           "undef has no items",
		`$list['a']`:              "the index of an item must be an integer, and is a String",
		`$n[0]`:                   "[] cannot be used on a number",
		`$list.ok`:                "the function 'ok' cannot be used on an Array",
		`$set.stdout`:             "",
		`$s.join`:                 "the function 'join' cannot be used on a String",
		`$n.map |$x| { $x }`:      "the function 'map' cannot be used on a number",
		`['a', 1].sort`:           "they are not all Strings, or all numbers",
		`'x'.Integer`:             "a String is not to be read as an Integer",
		`$n =~ /7/`:               "only a String can be matched, and there is a number",
		`$s =~ 'x'`:               "behind '=~' must be a regular expression, and there is a String",
		`'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab' =~ /^(a+)+(?<!x)$/`: "takes too long",
		// plans that would compute or grow without end
		`[1,2,3,4,5,6,7,8,9,10].reduce('x') |$m, $i| { "$m$m$m$m$m$m$m$m" }`:                                                       "",
		`[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24].reduce([1]) |$m, $i| { [$m, $m] }`:                       "too much work",
		`[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24].reduce([1]) |$m, $i| { $m + $m }.join`:                   "too much work",
		`[1,2,3,4,5,6,7,8].reduce([1, 2, 3, 4]) |$m, $i| { $m.map |$x| { $m.map |$y| { $m.map |$z| { $x + $y + $z } } }.flatten }`: "too much work",
	} {
		v, err := evaluate(t, true, source)
		if want == "" && err == nil {
			require.NotNil(t, v)
			continue
		}
		require.ErrorContains(t, err, want, source)
	}
	_, err := evaluate(t, true, "$n +\n$s")
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, KindEvaluation, e.Kind)
	require.Equal(t, json.Number("1"), e.Details["line"])
}
