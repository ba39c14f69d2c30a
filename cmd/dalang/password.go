package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// password asks for a password where people are, and otherwise reads it from
// standard input.
func (c *remote) password(prompt io.Writer, question string) (string, error) {
	f, ok := c.in.(*os.File)
	if !ok || !isTerminal(c.in) {
		return c.line()
	}
	if _, err := fmt.Fprint(prompt, question+": "); err != nil {
		return "", err
	}
	text, err := term.ReadPassword(int(f.Fd()))
	_, _ = fmt.Fprintln(prompt)
	if err != nil {
		return "", fmt.Errorf("read a password: %w", err)
	}
	return string(text), nil
}

// newPassword asks for a password twice where people are, and once otherwise.
func (c *remote) newPassword(prompt io.Writer, login string) (string, error) {
	first, err := c.password(prompt, "New password of "+login)
	if err != nil || !isTerminal(c.in) {
		return first, err
	}
	second, err := c.password(prompt, "Once more")
	if err == nil && first != second {
		err = errors.New("the passwords differ; nothing was changed")
	}
	return first, err
}

// completeLogins completes logins.
func (c *remote) completeLogins(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd, func(ctx context.Context, a *accessAPI) (names []string, err error) {
		users, err := a.users(ctx)
		for _, u := range users {
			names = append(names, u.Login+"\t"+oneLine(u.DisplayName))
		}
		return names, err
	})
}

// completeRoles completes names of roles.
func (c *remote) completeRoles(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd, func(ctx context.Context, a *accessAPI) (names []string, err error) {
		roles, err := a.roles(ctx)
		for _, r := range roles {
			names = append(names, oneLine(r.Name)+"\t"+oneLine(r.Description))
		}
		return names, err
	})
}

// complete completes with what find finds.
func (c *remote) complete(cmd *cobra.Command, find func(context.Context, *accessAPI) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	return proposals(cmd, c.with, find), cobra.ShellCompDirectiveNoFileComp
}
