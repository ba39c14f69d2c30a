package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// choice is the value of a flag that takes one of some words.
type choice struct {
	into  *string
	words []string
}

// addChoice adds a flag that takes one of some words. Without being given it has
// what into holds, else the first. The help says after usage which they are.
func addChoice(cmd *cobra.Command, into *string, name, short, usage string, words ...string) {
	if *into == "" {
		*into = words[0]
	}
	cmd.Flags().VarP(choice{into, words}, name, short, usage+": "+either(words))
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// addOutput adds -o with text and json.
func addOutput(cmd *cobra.Command, into *string) {
	addChoice(cmd, into, "output", "o", "how to print", "text", "json")
}

func (c choice) Set(word string) error {
	i := slices.IndexFunc(c.words, func(known string) bool { return strings.EqualFold(known, word) })
	if i < 0 {
		return fmt.Errorf("must be %s, not %q", either(c.words), fit(word, 80))
	}
	*c.into = c.words[i]
	return nil
}

func (c choice) String() string {
	if c.into == nil { // pflag asks the zero value for its default
		return ""
	}
	return *c.into
}

// Type is pflag's: what the help shows for the value.
func (choice) Type() string { return "string" }

// either lists words as people do.
func either(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
