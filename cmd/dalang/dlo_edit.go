package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"dalang/dlo"
	"dalang/dlo/dloclient"
	"dalang/wireformat"
)

func (c *dloCLI) editCommand() *cobra.Command {
	var e edit
	cmd := &cobra.Command{
		Use:   "edit ID",
		Short: "Mend a letter's payload in $EDITOR and replay it",
		Long: `Mend a letter's payload in $EDITOR and replay it.

When what was saved would fail again, the editor opens once more with what is wrong
on top. Saving without a change ends it; nothing is lost then: the letter stays as
it was, and the text is kept in the file that is named.`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: c.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			e.in, e.out, e.errOut = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			return c.with(cmd.Context(), func(ctx context.Context, office deadLetterOffice) error {
				return e.run(ctx, office, args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&e.keep, "no-replay", false, "only put the mended payload in place")
	cmd.Flags().BoolVar(&e.force, "force", false, "accept a payload that would fail again")
	return cmd
}

// edit is one session with an editor.
type edit struct {
	keep, force bool
	in          io.Reader
	out, errOut io.Writer
}

func (e *edit) run(ctx context.Context, office deadLetterOffice, id string) error {
	d, err := office.Get(ctx, id)
	if err != nil {
		return err
	}
	body, err := readBody(ctx, office, d.UUID.String())
	if _, _, corrupt := refusal(err); err != nil && !corrupt {
		return err
	}
	if err != nil { // the whole payload has to be written anew
		what := "Only the beginning of the payload can be read"
		if len(body) == 0 {
			what = "Nothing of the payload can be read"
		}
		_, _ = fmt.Fprintf(e.errOut, "%s: %s\n", what, oneLine(err.Error()))
	}
	message := d.Headline()
	if err != nil {
		message += "; what could be read of the payload stands below, write the rest anew"
	}
	path, err := e.file(d)
	if err != nil {
		return err
	}
	original := pretty(body)
	text, problems := original, d.Problems
	for {
		saved, err := e.open(ctx, path, header(d, message, problems), text)
		if err != nil {
			return fmt.Errorf("%w; the text is in %s", err, path)
		}
		if bytes.Equal(saved, original) {
			_ = os.Remove(path)
			_, err := fmt.Fprintln(e.out, "Nothing was changed.")
			return err
		}
		if bytes.Equal(saved, text) && !bytes.Equal(text, original) {
			return fmt.Errorf("the payload would still fail: %s\nThe letter stays as it was; the text is in %s", message, path)
		}
		sum, newID, err := office.Replace(ctx, d.UUID.String(), saved, e.force, !e.keep)
		if m, p, bad := refusal(err); bad {
			text, message, problems = saved, m, p
			continue
		}
		if err != nil {
			return fmt.Errorf("%w; the text is in %s", err, path)
		}
		_ = os.Remove(path)
		if newID != nil {
			_, err = fmt.Fprintf(e.out, "Letter %s was mended and replayed as %s.\n", short(sum.UUID), newID)
		} else {
			_, err = fmt.Fprintf(e.out, "Letter %s was mended; `dalang dlo replay %s` submits it.\n", short(sum.UUID), short(sum.UUID))
		}
		return err
	}
}

// file makes the file to edit. Its name ends in .json, as editors like it.
func (e *edit) file(d dlo.Diagnosis) (string, error) {
	f, err := os.CreateTemp("", "dalang-letter-"+short(d.UUID)+"-*.json")
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// open runs the editor on a text below a header, and returns the text.
func (e *edit) open(ctx context.Context, path, head string, text []byte) ([]byte, error) {
	if err := os.WriteFile(path, append([]byte(head), text...), 0o600); err != nil {
		return nil, err
	}
	editor := os.Getenv("VISUAL")
	if editor == "" {
		editor = os.Getenv("EDITOR")
	}
	if editor == "" {
		editor = "vi"
	}
	// $EDITOR may hold arguments; the path must not be split.
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.in, e.out, e.errOut
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("the editor %q failed: %w", editor, err)
	}
	saved, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return withoutHeader(saved), nil
}

// maxHeaderProblems is how many problems the editor shows.
const maxHeaderProblems = 20

// header tells what is wrong, in lines that are dropped again.
func header(d dlo.Diagnosis, message string, problems []wireformat.Problem) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s %d of %s (letter %s)\n#\n", d.Command, d.Version, oneLine(d.Certname), short(d.UUID))
	fmt.Fprintf(&b, "# %s\n", oneLine(message))
	for i, p := range problems {
		if i == maxHeaderProblems {
			fmt.Fprintf(&b, "#   and %d more\n", len(problems)-i)
			break
		}
		fmt.Fprintf(&b, "#   %s: %s\n", oneLine(p.Path), oneLine(p.Message))
	}
	b.WriteString("#\n# These lines are dropped. Save to have the payload checked; save it unchanged to give up.\n")
	return b.String()
}

// withoutHeader drops the lines at the top that begin with #: no JSON does.
func withoutHeader(text []byte) []byte {
	for bytes.HasPrefix(text, []byte("#")) {
		_, rest, _ := bytes.Cut(text, []byte("\n"))
		text = rest
	}
	return text
}

// refusal tells whether an error says that a payload would fail again, and why.
func refusal(err error) (message string, problems []wireformat.Problem, refused bool) {
	var remote *dloclient.Error
	if errors.As(err, &remote) && remote.Cause != "" {
		return remote.Message, remote.Problems, true
	}
	var local *wireformat.Error
	if errors.As(err, &local) {
		return local.Message, local.Problems, true
	}
	return "", nil, false
}

func isBrokenPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }
