package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// emptyAllowed is the annotation of flags for which an empty value is one.
const emptyAllowed = "dalang_empty_allowed"

// allowEmpty lets flags be given an empty value: to say that a text is to be
// empty. All others refuse it, see checkFlagValues.
func allowEmpty(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		if err := cmd.Flags().SetAnnotation(name, emptyAllowed, nil); err != nil {
			panic(err) // a flag that is not there
		}
	}
}

// checkFlags makes what is wrong with the flags that were given a usageError.
// The program's root runs it before every command.
func checkFlags(cmd *cobra.Command) error {
	if err := checkFlagValues(cmd); err != nil {
		return err
	}
	return checkFlagGroups(cmd)
}

// checkFlagValues refuses flags that were given an empty value, and numbers and
// times below zero, which no flag takes. An empty value is most often a shell's
// variable that is not set: taken as if the flag were not there, it would widen
// what the command does, from some nodes to all. Blanks around the entries of
// lists are taken away.
func checkFlagValues(cmd *cobra.Command) error {
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if err == nil {
			err = checkFlagValue(f)
		}
	})
	if err != nil {
		return &usageError{hinted(cmd, err)}
	}
	return nil
}

func checkFlagValue(f *pflag.Flag) error {
	_, mayBeEmpty := f.Annotations[emptyAllowed]
	switch kind := f.Value.Type(); kind {
	case "string":
		if !mayBeEmpty && strings.TrimSpace(f.Value.String()) == "" {
			return emptyFlag(f)
		}
	case "stringSlice", "stringArray":
		return checkList(f, kind == "stringSlice")
	case "int", "int64", "duration":
		if text := f.Value.String(); strings.HasPrefix(text, "-") {
			return fmt.Errorf("--%s must not be negative, but is %s", f.Name, text)
		}
	}
	return nil
}

func emptyFlag(f *pflag.Flag) error {
	return fmt.Errorf("--%s is empty: give it a value, or leave it out", f.Name)
}

// checkList refuses lists that are empty or have an empty entry. Of lists with
// commas the blanks around entries are taken away.
func checkList(f *pflag.Flag, trim bool) error {
	list, ok := f.Value.(pflag.SliceValue)
	if !ok {
		return nil
	}
	entries := slices.Clone(list.GetSlice())
	if len(entries) == 0 {
		return emptyFlag(f)
	}
	for i, entry := range entries {
		plain := strings.TrimSpace(entry)
		switch {
		case plain == "" && len(entries) == 1:
			return emptyFlag(f)
		case plain == "":
			return fmt.Errorf("--%s: entry %d of %d is empty", f.Name, i+1, len(entries))
		case trim:
			entries[i] = plain
		}
	}
	return list.Replace(entries)
}

// flagError says what a flag takes, in place of what Go's parsers say.
func flagError(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	f, given := invalid.GetFlag(), fmt.Sprintf("%q", fit(invalid.GetValue(), 80))
	if invalid.GetValue() == "" {
		return emptyFlag(f)
	}
	wants := ""
	switch f.Value.Type() {
	case "int", "int64":
		wants = "be a whole number"
		if errors.Is(err, strconv.ErrRange) {
			wants = "be a smaller number"
		}
	case "duration":
		wants = "be a span of time such as 90s, 5m or 1h30m"
		if n, e := strconv.ParseFloat(invalid.GetValue(), 64); e == nil && n > 0 {
			wants = "have a unit: s, m or h, as " + time.Duration(n*float64(time.Second)).String()
		}
	case "bool":
		wants = "be true or false"
	case "stringToString":
		wants = "be pairs key=value"
	default:
		colon := ":"
		if _, words := f.Value.(choice); words {
			colon = ""
		}
		return fmt.Errorf("--%s%s %w", f.Name, colon, invalid.Unwrap())
	}
	return fmt.Errorf("--%s must %s, not %s", f.Name, wants, given)
}
