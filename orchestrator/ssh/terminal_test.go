package ssh

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// TestLines: what the target's side makes of lines is what they were made of.
func TestLines(t *testing.T) {
	source := rand.NewChaCha8([32]byte{1})
	for _, n := range []int{0, 1, 56, 57, 58, 114, 5000} {
		want := make([]byte, n)
		_, err := source.Read(want)
		require.NoError(t, err)
		text, err := io.ReadAll(iotest.OneByteReader(&lines{r: iotest.HalfReader(bytes.NewReader(want))}))
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			require.LessOrEqual(t, len(line), 77)
			require.True(t, strings.HasSuffix(line, "\n"))
		}
		c := exec.Command("/bin/sh", "-c", fromTerminal)
		c.Stdin = bytes.NewReader(append(text, "never read\n"...))
		got, err := c.Output()
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	}
	text, err := io.ReadAll(&lines{r: iotest.ErrReader(errors.New("gone"))})
	require.NoError(t, err)
	require.Equal(t, ".\n", string(text))
}
