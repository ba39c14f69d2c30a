package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completeCompletion has `dalang completion` refuse shells that it does not
// know, where cobra's prints its help, and has bash complete within quotes.
func completeCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		cmd.Args = usageArgs(cobra.NoArgs)
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		for _, shell := range cmd.Commands() {
			if shell.Name() == "bash" {
				shell.RunE = bashCompletion
			}
		}
	}
}

// bashCompletion prints the script for bash.
func bashCompletion(cmd *cobra.Command, _ []string) error {
	bare, err := cmd.Flags().GetBool("no-descriptions")
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := cmd.Root().GenBashCompletionV2(&b, !bare); err != nil {
		return err
	}
	script, err := withinQuotes(b.String())
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write([]byte(script))
	return err
}

// withinQuotes changes cobra's script so that a word may have a quote that is
// still open, or brackets that nobody escaped: queries are such words. Cobra
// hands the open quote to eval, which refuses it, and compares what the user
// typed with suggestions that are escaped.
func withinQuotes(script string) (string, error) {
	for _, change := range [...][2]string{
		{`    __dalang_debug "Calling ${requestComp}"
`, `    __dalang_raw=
    if [[ ${cur} == [\'\"]* ]]; then
        __dalang_raw=quoted
        cur="${cur:1}"
        args[${#args[@]}-1]=$(printf '%q' "${cur}")
        requestComp="${words[0]} __complete ${args[*]}"
    elif [[ ${cur} == *[][{}]* && ${cur} != *\\* ]]; then
        __dalang_raw=bare
    fi

    __dalang_debug "Calling ${requestComp}"
`},
		{`        [[ $comp == "$cur"* ]] || continue
`, `        [[ -n ${__dalang_raw} ]] && comp=${compline%%$tab*}
        [[ $comp == "$cur"* ]] || continue
`},
		{`    __dalang_handle_special_char "$cur" :
    __dalang_handle_special_char "$cur" =
`, `    if [[ ${__dalang_raw} != quoted ]]; then
        __dalang_handle_special_char "$cur" :
        __dalang_handle_special_char "$cur" =
    fi
`},
		{`        COMPREPLY[0]=$(printf "%q" "${COMPREPLY[0]%%$tab*}")
`, `        if [[ -n ${__dalang_raw} ]]; then
            COMPREPLY[0]=${COMPREPLY[0]%%$tab*}
            # With two, bash does not close the quote.
            [[ ${__dalang_raw} == quoted ]] && COMPREPLY+=("${COMPREPLY[0]} ")
        else
            COMPREPLY[0]=$(printf "%q" "${COMPREPLY[0]%%$tab*}")
        fi
`},
	} {
		if strings.Count(script, change[0]) != 1 {
			return "", fmt.Errorf("the completion script of cobra is not the one that is known: it has no %q", strings.TrimSpace(change[0]))
		}
		script = strings.Replace(script, change[0], change[1], 1)
	}
	return script, nil
}

// proposals are what find finds of a server, in little time; whatever goes
// wrong, there is nothing to propose then.
func proposals[A any](cmd *cobra.Command, with func(context.Context, func(context.Context, A) error) error, find func(context.Context, A) ([]string, error)) (words []string) {
	ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
	defer cancel()
	_ = with(ctx, func(ctx context.Context, a A) (err error) {
		words, err = find(ctx, a)
		return err
	})
	return words
}
