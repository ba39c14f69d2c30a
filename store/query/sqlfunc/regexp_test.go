package sqlfunc

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRegexp(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{`a.c`, "a\nc", true}, {`^b`, "a\nb", false}, {`(?n)^b`, "a\nb", true}, {`(?n)a.b`, "a\nb", false}, {`[^x]`, "\n", true},
		{`\d+`, "٣", true}, {`^\w+$`, "é_1", true}, {`\s`, "\u00a0", true}, {`[\d]`, "x", false}, {`[\w.]+$`, "a.b", true},
		{`\mfoo\M`, "a foo b", true}, {`\mfoo\M`, "afoo", false}, {`\yfoo`, "-foo", true}, {`[[:<:]]foo[[:>:]]`, "foo", true}, {`\Yoo`, "foo", true},
		{`(a)\1`, "aa", true}, {`(a)\1`, "ab", false}, {`(?=ab)a`, "ab", true}, {`e(?!d)x`, "ex", true}, {`(?<=a)b`, "ab", true},
		{`***=a.b`, "a.b", true}, {`***=a.b`, "axb", false}, {`***:a.b`, "axb", true}, {`(?i)ABC`, "xabc", true}, {`(?x)a b # c`, "ab", true}, {`(?q)a+`, "a+", true},
		{`\x41`, "A", true}, {`\u0041`, "A", true}, {`\.`, "x", false}, {`\B`, `\`, true}, {`a{2}`, "aa", true}, {`a{2}`, "a", false}, {`a{,2}`, "a{,2}", true}, {`{`, "{", true},
		{`[]a]`, "]", true}, {`[^]a]`, "]", false}, {`[a-]`, "-", true}, {`[[:alpha:]]`, "é", true}, {`[[.-.]]`, "-", true}, {`[[=a=]]`, "a", true},
		{`a|`, "x", true}, {`()`, "", true}, {`a*?b`, "aab", true}, {`(a{255}){5}`, "a", false}, {`x$`, "x\n", false}, {`\101`, "A", true}, {`a#b`, "a#b", true}, {`]`, "]", true}, {``, "x", true},
	} {
		re, err := CompileRegexp(c.pattern)
		require.NoError(t, err, c.pattern)
		got, err := re.Match(c.text)
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%q ~ %s", c.text, c.pattern)
	}
}

func TestRegexpErrors(t *testing.T) {
	for pattern, reason := range map[string]string{
		`*abc`: errQuantifier, `a**`: errQuantifier, `a|*`: errQuantifier, `^*`: errQuantifier, `(*)`: errQuantifier, `(?P<n>a)`: errQuantifier,
		`[`: errBracket, `[]`: errBracket, `[a`: errBracket, `(`: errParen, `)`: errParen, `a)`: errParen, `(a`: errParen,
		`\`: errEscape, `\q`: errEscape, `\p{L}`: errEscape, `[\W]`: errEscape, `a{256}`: errRepeat, `a{2,1}`: errRepeat, `(?zz)a`: errOption, `\1`: errBackref,
		`[[:nope:]]`: errClass, `[b-a]`: errRange, `[[.nope.]]`: errCollate,
	} {
		_, err := CompileRegexp(pattern)
		require.EqualError(t, err, "ERROR: invalid regular expression: "+reason, pattern)
	}
}

func TestRegexpTimeout(t *testing.T) {
	re, err := CompileRegexp(`^(a+)+(?=b)$`)
	require.NoError(t, err)
	_, err = re.Match("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac")
	require.ErrorIs(t, err, errMatch)
}

func FuzzRegexp(f *testing.F) {
	for _, s := range []string{`(?i)a[b-c]{2,3}?|\m\w+\1`, `***=x`, `[[:alpha:][.-.]]`, `(?<!a)\y`} {
		f.Add(s, "text")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if re, err := CompileRegexp(pattern); err == nil && len(text) < 100 {
			_, _ = re.Match(text)
		} else if err != nil {
			var e *RegexpError
			require.ErrorAs(t, err, &e)
		}
	})
}
