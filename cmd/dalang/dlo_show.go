package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"dalang/dlo"
)

func (c *dloCLI) showCommand() *cobra.Command {
	var output string
	var noPayload bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show why a letter is here, and its payload",
		Long: `Show why a letter is here, and its payload.

--output chooses what is printed: text (diagnosis and payload, for people, in
$PAGER on a terminal), json (the diagnosis), payload (the body, decompressed and
otherwise untouched) or raw (the body exactly as it was received).`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: c.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, office deadLetterOffice) error {
				return c.show(ctx, office, cmd.OutOrStdout(), args[0], output, noPayload)
			})
		},
	}
	addChoice(cmd, &output, "output", "o", "what to print", "text", "json", "payload", "raw")
	cmd.Flags().BoolVar(&noPayload, "no-payload", false, "diagnosis only")
	return cmd
}

func (c *dloCLI) show(ctx context.Context, office deadLetterOffice, w io.Writer, id, output string, noPayload bool) error {
	open := office.Body
	switch output {
	case "raw":
		open = office.RawBody
		fallthrough
	case "payload":
		body, err := open(ctx, id)
		if err != nil {
			return err
		}
		defer body.Close() // read only: nothing to lose
		_, err = io.Copy(w, body)
		return err
	}
	d, err := office.Get(ctx, id)
	if err != nil {
		return err
	}
	if output == "json" {
		return printJSON(w, d)
	}
	return page(ctx, w, func(w io.Writer) error {
		if err := c.printDiagnosis(w, d); err != nil || noPayload {
			return err
		}
		return printPayload(ctx, office, w, d)
	})
}

// printDiagnosis writes all that is known of a letter but its payload.
func (c *dloCLI) printDiagnosis(w io.Writer, d dlo.Diagnosis) error {
	var t table
	ago := func(age string) string { return " (" + age + " ago)" }
	t.add("letter", d.UUID.String())
	t.add("command", fmt.Sprintf("%s, version %d", d.Command, d.Version))
	t.add("node", oneLine(d.Certname))
	if d.Client != "" {
		t.add("client", oneLine(d.Client))
	}
	if d.ProducerTimestamp != nil {
		t.add("produced", humanTime(d.ProducerTimestamp.Time))
	}
	t.add("received", humanTime(d.Received.Time))
	t.add("discarded", humanTime(d.DiscardedAt.Time)+ago(humanAge(c.now().Sub(d.DiscardedAt.Time))))
	if d.EditedAt != nil {
		t.add("edited", humanTime(d.EditedAt.Time)+ago(humanAge(c.now().Sub(d.EditedAt.Time))))
	}
	size := humanBytes(d.Size)
	if d.Encoding == "gzip" {
		size += ", gzip"
	}
	t.add("file", oneLine(d.File)+" ("+size+")")
	t.add("cause", oneLine(d.Cause))
	t.add("message", oneLine(d.Headline()))
	if err := t.print(w, 0); err != nil {
		return err
	}
	return printDetails(w, d)
}

func printDetails(w io.Writer, d dlo.Diagnosis) error {
	var b strings.Builder
	if len(d.Problems) > 0 {
		b.WriteString("\nProblems\n")
		var t table
		for _, p := range d.Problems {
			t.add("  "+oneLine(p.Path), oneLine(p.Message))
		}
		_ = t.print(&b, 0) // a strings.Builder
		if d.ProblemsOmitted > 0 {
			fmt.Fprintf(&b, "  and %s more\n", groups(d.ProblemsOmitted))
		}
	}
	if len(d.Attempts) > 0 {
		b.WriteString("\nAttempts\n")
		for i, a := range d.Attempts {
			text := a.Error
			if text == d.Message {
				text = d.Headline()
			}
			fmt.Fprintf(&b, "  %d  %s  %s\n", i+1, humanTime(a.At), oneLine(text))
		}
	}
	if d.Stack != "" {
		heading := "Stack"
		if d.Cause == dlo.CauseImported {
			heading = "What PuppetDB wrote"
		}
		b.WriteString("\n" + heading + "\n")
		for line := range strings.SplitSeq(strings.TrimRight(plain(d.Stack), "\n"), "\n") {
			b.WriteString(strings.TrimRight("  "+line, " ") + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printPayload writes the body, pretty when it is JSON, as it is when not.
func printPayload(ctx context.Context, office deadLetterOffice, w io.Writer, d dlo.Diagnosis) error {
	if _, err := io.WriteString(w, "\nPayload\n"); err != nil {
		return err
	}
	text, err := readBody(ctx, office, d.UUID.String())
	if len(text) > 0 || err == nil {
		if _, err := io.WriteString(w, plain(string(pretty(text)))); err != nil {
			return err
		}
	}
	if err != nil {
		_, err = fmt.Fprintf(w, "  cannot be read: %s\n  --output raw prints it as it was received\n", oneLine(err.Error()))
	}
	return err
}

// readBody reads a body. With an error it returns what came before it.
func readBody(ctx context.Context, office deadLetterOffice, id string) ([]byte, error) {
	body, err := office.Body(ctx, id)
	if err != nil {
		return nil, err
	}
	defer body.Close() // read only: nothing to lose
	return io.ReadAll(body)
}

// pretty indents JSON without touching its numbers and strings. Text that is
// no JSON comes back as it is. It ends with a new line.
func pretty(text []byte) []byte {
	var b bytes.Buffer
	if json.Indent(&b, bytes.TrimSpace(text), "", "  ") == nil {
		text = b.Bytes()
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(bytes.Clone(text), '\n')
	}
	return text
}

// page runs f on a pager when w is a terminal, else on w. When the reader has
// seen enough, that is no error.
func page(ctx context.Context, w io.Writer, f func(io.Writer) error) error {
	pager, set := os.LookupEnv("PAGER")
	if !set {
		pager = "less -FRX"
	}
	if !isTerminal(w) || strings.TrimSpace(pager) == "" {
		return f(w)
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", pager)
	cmd.Stdout, cmd.Stderr = w, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return f(w)
	}
	err = f(in)
	if errors.Is(err, os.ErrClosed) || isBrokenPipe(err) {
		err = nil
	}
	in.Close() // the pager sees the end
	_ = cmd.Wait()
	return err
}
