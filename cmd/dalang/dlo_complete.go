package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"dalang/commands/outcome"
	"dalang/dlo"
	"dalang/wireformat"
)

// completionTime is how long a shell may wait for suggestions.
const completionTime = 2 * time.Second

// completeIDs suggests the newest letters, with what they are.
func (c *dloCLI) completeIDs(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	var out []string
	c.suggest(cmd, func(ctx context.Context, office deadLetterOffice) error {
		l, err := office.List(ctx, dlo.Filter{}, dlo.Page{Limit: 200})
		if err != nil {
			return err
		}
		ids := make([]uuid.UUID, len(l.Letters))
		for i, s := range l.Letters {
			ids[i] = s.UUID
		}
		names := shortIDs(ids)
		for _, s := range l.Letters {
			id := names[s.UUID]
			if len(prefix) > len(id) {
				id = s.UUID.String()
			}
			if strings.HasPrefix(id, prefix) && !slices.Contains(args, id) {
				out = append(out, fmt.Sprintf("%s\t%s %d of %s: %s", id, s.Command, s.Version, oneLine(s.Certname), oneLine(s.Cause)))
			}
		}
		return nil
	})
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// completeCauses suggests the causes there are letters of; all, when the
// office cannot be asked.
func (c *dloCLI) completeCauses(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var out []string
	c.suggest(cmd, func(ctx context.Context, office deadLetterOffice) error {
		s, err := office.Stats(ctx, dlo.Filter{})
		for _, g := range s.Causes {
			out = append(out, fmt.Sprintf("%s\t%s", g.Cause, counted(g.Count, "letter")))
		}
		return err
	})
	if len(out) == 0 {
		out = []string{wireformat.CauseEncoding, wireformat.CauseParse, wireformat.CauseTooLarge, wireformat.CauseValidation,
			wireformat.CauseVersion, outcome.CausePanic, outcome.CauseStore, dlo.CauseImported, dlo.CauseUnknown}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func completeCommands(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, v := range wireformat.Commands() {
		out = append(out, v.Tag+"\t"+string(v.Command))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// suggest asks the office; a shell has no use for errors.
func (c *dloCLI) suggest(cmd *cobra.Command, f func(context.Context, deadLetterOffice) error) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	if err := c.with(ctx, f); err != nil {
		cobra.CompDebugln(err.Error(), false)
	}
}
