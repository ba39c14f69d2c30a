package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"dalang/orchestrator/rbac"
)

// roleCLI is what the subcommands of `dalang role` share.
type roleCLI struct{ *remote }

// newRoleCommand makes `dalang role`.
func newRoleCommand() *cobra.Command { return (&roleCLI{newRemote()}).command() }

func (c *roleCLI) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "role",
		Short: "Work with roles, which say what users may",
		Long: `Work with roles, which say what users may. A permission is written as
object_type:action:instance, and * stands for all:

  orchestrator:view:*       see and stop jobs; everything about jobs needs it
  puppet_agent:run:*        run Puppet
  tasks:run:NAME            run a task
  nodes:view_data:*         name nodes by queries
  node_groups:view:ID       see a node group and those below it, and run on them
  users:view:*              see users and roles
  *:*:*                     everything

` + whereHelp,
	}
	c.addTo(cmd)
	group(cmd, c.listCommand(), c.createCommand(), c.changeCommand(), c.deleteCommand())
	return cmd
}

func (c *roleCLI) listCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List roles, their users and permissions",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *accessAPI) error {
				if output == "json" {
					return a.raw(ctx, "/v1/roles", nil, cmd.OutOrStdout())
				}
				return printRoles(ctx, a, cmd.OutOrStdout())
			})
		},
	}
	addOutput(cmd, &output)
	return cmd
}

// printRoles prints a table with a line for every permission.
func printRoles(ctx context.Context, a *accessAPI, out io.Writer) error {
	roles, err := a.roles(ctx)
	if err != nil {
		return err
	}
	users, err := a.users(ctx)
	if err != nil {
		return err
	}
	t := &table{right: map[int]bool{0: true}}
	t.add("ID", "ROLE", "USERS", "PERMISSIONS")
	for _, r := range roles {
		var logins []string
		for _, u := range users {
			if slices.Contains(r.UserIDs, u.ID) {
				logins = append(logins, u.Login)
			}
		}
		first := "-"
		if len(r.Permissions) > 0 {
			first = oneLine(r.Permissions[0].String())
		}
		t.add(fmt.Sprint(r.ID), oneLine(r.Name), orDash(strings.Join(logins, ", ")), first)
		for i := 1; i < len(r.Permissions); i++ {
			t.add("", "", "", oneLine(r.Permissions[i].String()))
		}
	}
	return t.print(out, 0) // permissions must stay whole
}

// parsePermissions reads permissions as they stand on the command line.
func parsePermissions(texts []string) ([]rbac.Permission, error) {
	list := make([]rbac.Permission, len(texts))
	for i, text := range texts {
		p, err := rbac.ParsePermission(text)
		if err != nil {
			return nil, &usageError{err}
		}
		list[i] = p
	}
	return list, nil
}

func (c *roleCLI) createCommand() *cobra.Command {
	var description string
	var permissions []string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a role",
		Example: `  dalang role create Deployers --permission 'orchestrator:view:*' --permission 'puppet_agent:run:*'
  dalang user change brian --add-role Deployers`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := parsePermissions(permissions)
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, a *accessAPI) error {
				if err := a.send(ctx, http.MethodPost, "/v1/roles", roleInfo{Name: args[0], Description: description, Permissions: list}, nil); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Role %s was made.\n", args[0])
				return err
			})
		},
	}
	cmd.Flags().StringVar(&description, "description", "", "what it is for")
	cmd.Flags().StringArrayVar(&permissions, "permission", nil, "`permission` such as puppet_agent:run:*; repeatable")
	allowEmpty(cmd, "description")
	_ = cmd.RegisterFlagCompletionFunc("permission", completePermissions)
	return cmd
}

// completePermissions proposes the permissions that there are.
func completePermissions(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"orchestrator:view:*", "puppet_agent:run:*", "tasks:run:*", "plans:run:*", "nodes:view_data:*", "node_groups:view:*", "users:view:*"},
		cobra.ShellCompDirectiveNoFileComp
}

// onRole does something to a role, and says so.
func (c *roleCLI) onRole(cmd *cobra.Command, name, done string, do func(context.Context, *accessAPI, *roleInfo) error) error {
	return c.with(cmd.Context(), func(ctx context.Context, a *accessAPI) error {
		r, err := a.role(ctx, name)
		if err != nil {
			return err
		}
		if err := do(ctx, a, r); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Role %s %s.\n", oneLine(r.Name), done)
		return err
	})
}

// roleEdit is what the flags of `dalang role change` say.
type roleEdit struct {
	name, description string
	add, remove       []string
}

func (c *roleCLI) changeCommand() *cobra.Command {
	var e roleEdit
	cmd := &cobra.Command{
		Use:               "change NAME",
		Short:             "Change a role; it counts at once for all who have it",
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: c.completeRoles,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onRole(cmd, args[0], "was changed", func(ctx context.Context, a *accessAPI, r *roleInfo) error {
				if err := e.apply(r, cmd.Flags().Changed); err != nil {
					return err
				}
				return a.send(ctx, http.MethodPut, r.path(), r, nil)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&e.name, "name", "", "another `name`")
	f.StringVar(&e.description, "description", "", "what it is for")
	f.StringArrayVar(&e.add, "add-permission", nil, "`permission` that it is to give; repeatable")
	f.StringArrayVar(&e.remove, "remove-permission", nil, "`permission` that it gives no more; repeatable")
	allowEmpty(cmd, "description")
	_ = cmd.RegisterFlagCompletionFunc("add-permission", completePermissions)
	return cmd
}

// apply changes a role.
func (e *roleEdit) apply(r *roleInfo, given func(string) bool) error {
	if !given("name") && !given("description") && len(e.add)+len(e.remove) == 0 {
		return &usageError{errNothingToChange}
	}
	if given("name") {
		r.Name = e.name
	}
	if given("description") {
		r.Description = e.description
	}
	add, err := parsePermissions(e.add)
	if err != nil {
		return err
	}
	remove, err := parsePermissions(e.remove)
	if err != nil {
		return err
	}
	for _, p := range add {
		if !slices.Contains(r.Permissions, p) {
			r.Permissions = append(r.Permissions, p)
		}
	}
	for _, p := range remove {
		i := slices.Index(r.Permissions, p)
		if i < 0 {
			return fmt.Errorf("the role %s has no permission %s", oneLine(r.Name), p)
		}
		r.Permissions = slices.Delete(r.Permissions, i, i+1)
	}
	return nil
}

func (c *roleCLI) deleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a role; its users lose what it gave them",
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: c.completeRoles,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.onRole(cmd, args[0], "was deleted", func(ctx context.Context, a *accessAPI, r *roleInfo) error {
				return a.remove(ctx, r.path())
			})
		},
	}
}
