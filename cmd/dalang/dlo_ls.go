package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"dalang/dlo"
)

// filterFlags adds the flags that choose letters.
func (c *dloCLI) filterFlags(cmd *cobra.Command, f *dlo.Filter) {
	fl := cmd.Flags()
	fl.StringVar(&f.Command, "command", "", "only of this `command`, such as \"replace facts\" or facts")
	fl.StringVar(&f.Certname, "certname", "", "only of this `node`; * and ? match any text, any character")
	fl.StringVar(&f.Cause, "cause", "", "only of this `cause`, such as validation")
	fl.StringVar(&f.Text, "text", "", "only with this `text` in the message")
	fl.Var(&f.OlderThan, "older-than", "only discarded longer ago than this: 90m, 36h, 7d, 2w")
	fl.Var(&f.NewerThan, "newer-than", "only discarded since then")
	_ = cmd.RegisterFlagCompletionFunc("command", completeCommands)
	_ = cmd.RegisterFlagCompletionFunc("cause", c.completeCauses)
	for _, name := range []string{"certname", "text", "older-than", "newer-than"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func (c *dloCLI) lsCommand() *cobra.Command {
	var filter dlo.Filter
	var page dlo.Page
	var output string
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List letters, newest first",
		Example: `  dalang dlo ls --cause validation --newer-than 1d
  dalang dlo ls --certname 'web*' --limit 0 -o json | jq -r '.letters[].uuid'`,
		Args:              usageArgs(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, office deadLetterOffice) error {
				l, err := office.List(ctx, filter, page)
				if err != nil {
					return err
				}
				if output == "json" {
					return printJSON(cmd.OutOrStdout(), l)
				}
				return c.printListing(cmd.OutOrStdout(), l, filter, page)
			})
		},
	}
	c.filterFlags(cmd, &filter)
	cmd.Flags().IntVar(&page.Limit, "limit", 50, "letters to show at most; 0: all")
	cmd.Flags().IntVar(&page.Offset, "offset", 0, "letters to step over")
	cmd.Flags().BoolVar(&page.OldestFirst, "oldest-first", false, "in order of acceptance")
	addChoice(cmd, &output, "output", "o", "how to print", "table", "json")
	return cmd
}

func (c *dloCLI) printListing(w io.Writer, l dlo.Listing, f dlo.Filter, p dlo.Page) error {
	if l.Total == 0 {
		text := "The dead letter office is empty."
		if f != (dlo.Filter{}) {
			text = "No letter matches."
		}
		_, err := fmt.Fprintln(w, text)
		return err
	}
	ids := make([]uuid.UUID, len(l.Letters))
	for i, s := range l.Letters {
		ids[i] = s.UUID
	}
	short := shortIDs(ids)
	t := table{right: map[int]bool{1: true, 5: true}}
	t.add("ID", "AGE", "COMMAND", "NODE", "CAUSE", "SIZE", "MESSAGE")
	for _, s := range l.Letters {
		t.add(short[s.UUID], humanAge(c.now().Sub(s.DiscardedAt.Time)), fmt.Sprintf("%s %d", s.Command, s.Version),
			oneLine(s.Certname), oneLine(s.Cause), humanBytes(s.Size), oneLine(s.Message))
	}
	if err := t.print(w, width(w)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s, %s.%s\n", counted(l.Total, "letter"), humanBytes(l.Bytes), listingPart(l, p))
	return err
}

// listingPart tells which part of a listing is to be seen, if not all.
func listingPart(l dlo.Listing, p dlo.Page) string {
	if len(l.Letters) == l.Total {
		return ""
	}
	order := "newest"
	if p.OldestFirst {
		order = "oldest"
	}
	switch {
	case p.Offset == 0 && len(l.Letters) == 1:
		return fmt.Sprintf(" This is the %s; --limit 0 shows all.", order)
	case p.Offset == 0:
		return fmt.Sprintf(" These are the %d %s; --limit 0 shows all.", len(l.Letters), order)
	}
	return fmt.Sprintf(" These are %d to %d, %s first.", p.Offset+1, p.Offset+len(l.Letters), order)
}

func (c *dloCLI) statsCommand() *cobra.Command {
	var filter dlo.Filter
	var output string
	cmd := &cobra.Command{
		Use:               "stats",
		Short:             "Count letters by cause",
		Args:              usageArgs(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, office deadLetterOffice) error {
				s, err := office.Stats(ctx, filter)
				if err != nil {
					return err
				}
				if output == "json" {
					return printJSON(cmd.OutOrStdout(), s)
				}
				return printStats(cmd.OutOrStdout(), s, filter)
			})
		},
	}
	c.filterFlags(cmd, &filter)
	addChoice(cmd, &output, "output", "o", "how to print", "table", "json")
	return cmd
}

func printStats(w io.Writer, s dlo.Stats, f dlo.Filter) error {
	if s.Count == 0 {
		return (&dloCLI{}).printListing(w, dlo.Listing{}, f, dlo.Page{})
	}
	t := table{right: map[int]bool{1: true, 2: true, 3: true}}
	t.add("CAUSE", "LETTERS", "SIZE", "NODES", "OLDEST", "NEWEST", "COMMANDS")
	for _, g := range s.Causes {
		var list []string
		for _, n := range g.Commands {
			list = append(list, fmt.Sprintf("%s %s", n.Command, groups(n.Count)))
		}
		t.add(oneLine(g.Cause), groups(g.Count), humanBytes(g.Bytes), groups(g.Certnames),
			humanMinute(g.Oldest.Time), humanMinute(g.Newest.Time), strings.Join(list, ", "))
	}
	if len(s.Causes) > 1 {
		t.add("total", groups(s.Count), humanBytes(s.Bytes), groups(s.Certnames))
	}
	return t.print(w, width(w))
}
