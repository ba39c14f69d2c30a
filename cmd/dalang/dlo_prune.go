package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"dalang/dlo"
)

func (c *dloCLI) pruneCommand() *cobra.Command {
	var req dlo.PruneRequest
	var keep byteSize
	var yes bool
	cmd := &cobra.Command{
		Use:   "prune [ID...] [--older-than AGE] [--keep-bytes SIZE]",
		Short: "Delete letters for good",
		Long: `Delete letters for good.

With --older-than go those that are older, with --keep-bytes the oldest until the
bodies that are left have at most so many bytes; with both, what either says. IDs
and the other filters narrow what these look at; alone, they choose what goes.

On a terminal it asks first; --yes does not.`,
		Example: `  dalang dlo prune --older-than 30d --keep-bytes 1GiB
  dalang dlo prune --cause parse --certname broken.example.com --dry-run`,
		ValidArgsFunction: c.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.IDs, req.KeepBytes = args, keep.n
			if req.Selection.Empty() && req.KeepBytes == nil {
				return &usageError{errors.New("nothing is selected: name letters, --older-than, --keep-bytes or a filter, or say --all")}
			}
			return c.with(cmd.Context(), func(ctx context.Context, office deadLetterOffice) error {
				ask := !yes && !req.DryRun && isTerminal(cmd.InOrStdin())
				return prune(ctx, office, req, ask, cmd.InOrStdin(), cmd.OutOrStdout())
			})
		},
	}
	c.filterFlags(cmd, &req.Filter)
	cmd.Flags().Lookup("older-than").Usage = "delete what was discarded longer ago than this: 90m, 36h, 7d, 2w"
	cmd.Flags().Var(&keep, "keep-bytes", "delete the oldest until at most so many bytes are left: 500000, 64MiB, 2G")
	cmd.Flags().BoolVar(&req.All, "all", false, "all letters")
	cmd.Flags().BoolVar(&req.DryRun, "dry-run", false, "only tell what would go")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	_ = cmd.RegisterFlagCompletionFunc("keep-bytes", cobra.NoFileCompletions)
	return cmd
}

func prune(ctx context.Context, office deadLetterOffice, req dlo.PruneRequest, ask bool, in io.Reader, out io.Writer) error {
	if ask {
		would := req
		would.DryRun = true
		res, err := office.Prune(ctx, would)
		if err != nil {
			return err
		}
		if res.Pruned == 0 {
			return pruned(out, res)
		}
		_, _ = fmt.Fprintf(out, "Delete %s (%s) for good? [y/N] ", counted(res.Pruned, "letter"), humanBytes(res.PrunedBytes))
		answer, _ := bufio.NewReader(in).ReadString('\n') // the end of input is a no
		if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
			_, err := fmt.Fprintln(out, "Nothing was deleted.")
			return err
		}
	}
	res, err := office.Prune(ctx, req)
	if err != nil {
		return err
	}
	return pruned(out, res)
}

func pruned(out io.Writer, res dlo.PruneResult) error {
	verb := "Deleted"
	if res.DryRun {
		verb = "Would delete"
	}
	text := fmt.Sprintf("%s %s (%s)", verb, counted(res.Pruned, "letter"), humanBytes(res.PrunedBytes))
	if res.Pruned == 0 {
		text = "Nothing to delete"
	}
	text += fmt.Sprintf("; %s (%s) left", counted(res.Kept, "letter"), humanBytes(res.KeptBytes))
	if res.Skipped > 0 {
		text += fmt.Sprintf("; %s somebody else is working with", counted(res.Skipped, "letter"))
	}
	_, err := fmt.Fprintln(out, text+".")
	return err
}

func (c *dloCLI) exportCommand() *cobra.Command {
	var sel dlo.Selection
	cmd := &cobra.Command{
		Use:   "export FILE [ID...]",
		Short: "Write letters to a tar.gz",
		Long: `Write letters, bodies and diagnoses as they lie, to a tar.gz: all of them, or those
that IDs or filters choose. FILE may be - for the standard output.`,
		Example: `  dalang dlo export letters.tar.gz
  dalang dlo export - --cause panic | ssh dev tar xz`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return c.completeIDs(cmd, args, prefix)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			sel.IDs = args[1:]
			if args[0] == "-" && isTerminal(cmd.OutOrStdout()) {
				return &usageError{errors.New("a tar.gz is nothing for a terminal: name a file, or put the output into a pipe")}
			}
			return c.with(cmd.Context(), func(ctx context.Context, office deadLetterOffice) error {
				if args[0] == "-" {
					return office.Export(ctx, sel, cmd.OutOrStdout())
				}
				return exportFile(ctx, office, sel, args[0], cmd.OutOrStdout())
			})
		},
	}
	c.filterFlags(cmd, &sel.Filter)
	return cmd
}

// exportFile writes a file that is whole or not there.
func exportFile(ctx context.Context, office deadLetterOffice, sel dlo.Selection, path string, out io.Writer) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".dalang-export-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := office.Export(ctx, sel, f); err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "Wrote %s (%s).\n", path, humanBytes(st.Size()))
	return err
}
