package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// userCLI is what the subcommands of `dalang user` share.
type userCLI struct{ *remote }

// newUserCommand makes `dalang user`.
func newUserCommand() *cobra.Command { return (&userCLI{newRemote()}).command() }

func (c *userCLI) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Work with users, who may command the orchestrator",
		Long: `Work with users, who may command the orchestrator. What a user may, roles say: see
'dalang role'. Users have tokens, and a password if they are to get tokens by
themselves. A new database has the user admin, without a password.

` + whereHelp,
	}
	c.addTo(cmd)
	group(cmd, c.listCommand(), c.createCommand(), c.changeCommand(), c.passwordCommand(), c.deleteCommand())
	return cmd
}

func (c *userCLI) listCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List users and their roles",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *accessAPI) error {
				if output == "json" {
					return a.raw(ctx, "/v1/users", nil, cmd.OutOrStdout())
				}
				return printUsers(ctx, a, cmd.OutOrStdout())
			})
		},
	}
	addOutput(cmd, &output)
	return cmd
}

func printUsers(ctx context.Context, a *accessAPI, out io.Writer) error {
	users, err := a.users(ctx)
	if err != nil {
		return err
	}
	roles, err := a.roles(ctx)
	if err != nil {
		return err
	}
	t := &table{}
	t.add("LOGIN", "NAME", "EMAIL", "LAST LOGIN", "STATE", "ROLES")
	for _, u := range users {
		state, last := "active", "-"
		if u.Revoked {
			state = "revoked"
		}
		if u.LastLogin != nil {
			last = humanMinute(*u.LastLogin)
		}
		var names []string
		for _, r := range roles {
			if slices.Contains(u.RoleIDs, r.ID) {
				names = append(names, r.Name)
			}
		}
		t.add(oneLine(u.Login), orDash(u.DisplayName), orDash(u.Email), last, state, orDash(strings.Join(names, ", ")))
	}
	return t.print(out, width(out))
}

func (c *userCLI) createCommand() *cobra.Command {
	var email, name string
	var roles []string
	var password bool
	cmd := &cobra.Command{
		Use:   "create LOGIN",
		Short: "Make a user",
		Example: `  dalang user create brian --name 'Brian Moore' --role Operators --password
  dalang user create ci --role Operators`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"login": args[0], "email": email, "display_name": name}
			if password {
				text, err := c.newPassword(cmd.ErrOrStderr(), args[0])
				if err != nil {
					return err
				}
				body["password"] = text
			}
			return c.with(cmd.Context(), func(ctx context.Context, a *accessAPI) error {
				found, err := a.rolesNamed(ctx, roles)
				if err != nil {
					return err
				}
				body["role_ids"] = idsOf(found)
				if err := a.send(ctx, http.MethodPost, "/v1/users", body, nil); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "User %s was made.\n", args[0])
				return err
			})
		},
	}
	cmd.Flags().StringVar(&email, "email", "", "mail `address`")
	cmd.Flags().StringVar(&name, "name", "", "the user's `name`, for people")
	cmd.Flags().StringArrayVar(&roles, "role", nil, "`name` or id of a role; repeatable")
	cmd.Flags().BoolVar(&password, "password", false, "ask for a password, or read it from standard input where that is no terminal; without, none lets in")
	allowEmpty(cmd, "email", "name")
	_ = cmd.RegisterFlagCompletionFunc("role", c.completeRoles)
	return cmd
}

// onUser does something to a user, and says so.
func (c *userCLI) onUser(cmd *cobra.Command, login, done string, do func(context.Context, *accessAPI, *userInfo) error) error {
	return c.with(cmd.Context(), func(ctx context.Context, a *accessAPI) error {
		u, err := a.user(ctx, login)
		if err != nil {
			return err
		}
		if err := do(ctx, a, u); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "User %s %s.\n", oneLine(u.Login), done)
		return err
	})
}

// userEdit is what the flags of `dalang user change` say.
type userEdit struct {
	login, email, name string
	add, remove        []string
	revoke, reinstate  bool
}

func (c *userCLI) changeCommand() *cobra.Command {
	var e userEdit
	cmd := &cobra.Command{
		Use:   "change LOGIN",
		Short: "Change a user, or revoke one, who loses all tokens at once",
		Example: `  dalang user change brian --add-role Viewers --remove-role Operators
  dalang user change brian --revoke`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: c.completeLogins,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onUser(cmd, args[0], "was changed", func(ctx context.Context, a *accessAPI, u *userInfo) error {
				body, err := e.body(ctx, a, u, cmd.Flags().Changed)
				if err != nil {
					return err
				}
				return a.send(ctx, http.MethodPut, u.path(), body, nil)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&e.login, "login", "", "another `login`")
	f.StringVar(&e.email, "email", "", "mail `address`")
	f.StringVar(&e.name, "name", "", "the user's `name`, for people")
	f.StringArrayVar(&e.add, "add-role", nil, "`name` or id of a role that the user gets; repeatable")
	f.StringArrayVar(&e.remove, "remove-role", nil, "`name` or id of a role that the user loses; repeatable")
	f.BoolVar(&e.revoke, "revoke", false, "let the user in no more")
	f.BoolVar(&e.reinstate, "reinstate", false, "let a revoked user in again; tokens do not come back")
	allowEmpty(cmd, "email", "name")
	cmd.MarkFlagsMutuallyExclusive("revoke", "reinstate")
	_ = cmd.RegisterFlagCompletionFunc("add-role", c.completeRoles)
	_ = cmd.RegisterFlagCompletionFunc("remove-role", c.completeRoles)
	return cmd
}

// body is the change in the words of the API.
func (e *userEdit) body(ctx context.Context, a *accessAPI, u *userInfo, given func(string) bool) (map[string]any, error) {
	body := map[string]any{}
	for flag, member := range map[string]struct {
		key   string
		value any
	}{
		"login": {"login", e.login}, "email": {"email", e.email}, "name": {"display_name", e.name},
		"revoke": {"is_revoked", e.revoke}, "reinstate": {"is_revoked", !e.reinstate},
	} {
		if given(flag) {
			body[member.key] = member.value
		}
	}
	if len(e.add)+len(e.remove) > 0 {
		add, err := a.rolesNamed(ctx, e.add)
		if err != nil {
			return nil, err
		}
		remove, err := a.rolesNamed(ctx, e.remove)
		if err != nil {
			return nil, err
		}
		ids := append(slices.Clone(u.RoleIDs), idsOf(add)...)
		gone := idsOf(remove)
		body["role_ids"] = slices.DeleteFunc(ids, func(id int64) bool { return slices.Contains(gone, id) })
	}
	if len(body) == 0 {
		return nil, &usageError{errNothingToChange}
	}
	return body, nil
}

func (c *userCLI) passwordCommand() *cobra.Command {
	var none bool
	cmd := &cobra.Command{
		Use:   "password LOGIN",
		Short: "Set a user's password",
		Long: `Set a user's password, as administrator. It is asked for, or read from standard input
where that is no terminal. Tokens of the user stay good.`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: c.completeLogins,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, did := "", "has no password any more"
			if !none {
				var err error
				if text, err = c.newPassword(cmd.ErrOrStderr(), args[0]); err != nil {
					return err
				}
				did = "has a new password"
			}
			return c.onUser(cmd, args[0], did, func(ctx context.Context, a *accessAPI, u *userInfo) error {
				return a.send(ctx, http.MethodPut, u.path(), map[string]string{"password": text}, nil)
			})
		},
	}
	cmd.Flags().BoolVar(&none, "none", false, "take the password away: then none lets in")
	return cmd
}

func (c *userCLI) deleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "delete LOGIN",
		Short:             "Delete a user with all tokens; jobs keep who owned them",
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: c.completeLogins,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onUser(cmd, args[0], "was deleted", func(ctx context.Context, a *accessAPI, u *userInfo) error {
				return a.remove(ctx, u.path())
			})
		},
	}
}
