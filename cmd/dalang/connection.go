package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"dalang/cmd/internal/client"
)

// connectionCLI is what the subcommands of `dalang connection` share.
type connectionCLI struct{ *jobCLI }

// newConnectionCommand makes `dalang connection`.
func newConnectionCommand() *cobra.Command {
	return (&connectionCLI{newJobCLI()}).command()
}

func (c *connectionCLI) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "connection",
		Short: "Say how to reach nodes that have no agent",
		Long: `Connections say how to log in to nodes that have no agent, over SSH or WinRM. Tasks
and plans use them for their nodes unless they say otherwise. They are stored on the
server, their passwords and keys sealed.

WinRM has not been proven against Windows.

Which server is asked, and with which token, is as with 'dalang job'.`,
	}
	c.addTo(cmd)
	group(cmd, c.createCommand(), c.listCommand(), c.deleteCommand())
	return cmd
}

const inventoryPath = "/inventory/v1"

// connectionInfo is a stored connection as the API shows it, without secrets.
type connectionInfo struct {
	Certnames  []string                   `json:"certnames"`
	Type       string                     `json:"type"`
	Parameters map[string]json.RawMessage `json:"parameters"`
}

func (a *jobAPI) inventory(ctx context.Context, command string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return a.client.JSON(ctx, client.Request{Method: http.MethodPost, Path: inventoryPath + "/command/" + command, Body: text}, into)
}

func (a *jobAPI) connections(ctx context.Context, certnames []string, into any) error {
	return a.client.JSON(ctx, client.Request{Path: inventoryPath + "/query/connections", Query: url.Values{"certname": certnames}}, into)
}

// listed are the connections of some nodes, of all for none.
func (a *jobAPI) listed(ctx context.Context, certnames []string) ([]connectionInfo, error) {
	var list struct{ Items []connectionInfo }
	err := a.connections(ctx, certnames, &list)
	return list.Items, err
}

func (c *connectionCLI) listCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "list [CERTNAME]...",
		Aliases: []string{"ls"},
		Short:   "List stored connections, without their secrets",
		Long: `List stored connections: all, or those of some nodes. Users, passwords and keys are
not shown.`,
		ValidArgsFunction: c.completeConnections,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				if output == "json" {
					var doc json.RawMessage
					if err := a.connections(ctx, args, &doc); err != nil {
						return err
					}
					return printJSON(cmd.OutOrStdout(), doc)
				}
				list, err := a.listed(ctx, args)
				if err != nil {
					return err
				}
				t := &table{}
				t.add("NODES", "TRANSPORT", "PARAMETERS")
				for _, i := range list {
					t.add(oneLine(strings.Join(i.Certnames, " ")), oneLine(i.Type), orDash(i.parameters()))
				}
				return t.print(cmd.OutOrStdout(), width(cmd.OutOrStdout()))
			})
		},
	}
	addOutput(cmd, &output)
	return cmd
}

// parameters are those of a connection in a few words.
func (i *connectionInfo) parameters() string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(i.Parameters)) {
		value := string(i.Parameters[key])
		var text string
		if json.Unmarshal(i.Parameters[key], &text) == nil {
			value = text
		}
		if key == "cacert" {
			value = "(PEM)"
		}
		words = append(words, key+"="+value)
	}
	return strings.Join(words, " ")
}

func (c *connectionCLI) deleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "delete CERTNAME...",
		Short:             "Delete the connections of nodes",
		Args:              atLeastOneNode,
		ValidArgsFunction: c.completeConnections,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				list, err := a.listed(ctx, args)
				if err != nil {
					return err
				}
				var known []string
				for _, i := range list {
					known = append(known, i.Certnames...)
				}
				for _, name := range args {
					if !slices.Contains(known, name) {
						return &usageError{fmt.Errorf("there is no connection of %s; none was deleted", name)}
					}
				}
				return a.inventory(ctx, "delete-connection", map[string]any{"certnames": args}, nil)
			})
		},
	}
}

func atLeastOneNode(cmd *cobra.Command, args []string) error {
	if len(args) == 0 || slices.ContainsFunc(args, func(name string) bool { return strings.TrimSpace(name) == "" }) {
		return &usageError{hinted(cmd, fmt.Errorf("%s wants the certnames of nodes", cmd.CommandPath()))}
	}
	return nil
}

// completeConnections completes the certnames of nodes that have connections.
func (c *connectionCLI) completeConnections(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.offer(cmd, func(ctx context.Context, a *jobAPI) (names []string, err error) {
		list, err := a.listed(ctx, nil)
		for _, i := range list {
			for _, name := range i.Certnames {
				if !slices.Contains(args, name) {
					names = append(names, oneLine(name)+"\t"+oneLine(i.Type))
				}
			}
		}
		return names, err
	})
}
