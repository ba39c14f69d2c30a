package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dalang/cmd/internal/client"
)

// tokenCLI is what the subcommands of `dalang token` share.
type tokenCLI struct{ *remote }

// newTokenCommand makes `dalang token`.
func newTokenCommand() *cobra.Command { return (&tokenCLI{newRemote()}).command() }

func (c *tokenCLI) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Work with tokens, by which programs show whose requests are",
		Long: `Work with tokens. Who shows one, in the header X-Authentication, may what the user
may whom it was made for. A token is shown once, when it is made; a server knows
only its hash.

` + whereHelp,
	}
	c.addTo(cmd)
	group(cmd, c.createCommand(), c.loginCommand(), c.listCommand(), c.revokeCommand())
	return cmd
}

// wanted is what a new token is to be like.
type wanted struct {
	Login       string `json:"login,omitempty"`
	Password    string `json:"password,omitempty"`
	Lifetime    string `json:"lifetime,omitempty"`
	Description string `json:"description,omitempty"`
	Label       string `json:"label,omitempty"`
	Client      string `json:"client"`
}

func (w *wanted) addTo(cmd *cobra.Command, save *bool) {
	f := cmd.Flags()
	f.StringVar(&w.Lifetime, "lifetime", "", "how long it is good: `time` such as 30m, 8h, 30d, 1y; 0: as long as possible (default: what the server is configured for)")
	f.StringVar(&w.Label, "label", "", "`name` to revoke it by")
	f.StringVar(&w.Description, "description", "", "what it is for")
	f.BoolVar(save, "save", false, "write it to ~/.puppetlabs/token, where the other commands look for it, instead of printing it")
	allowEmpty(cmd, "description")
	_ = cmd.RegisterFlagCompletionFunc("lifetime", cobra.FixedCompletions([]string{"1h", "8h", "30d", "1y"}, cobra.ShellCompDirectiveNoFileComp))
}

func (c *tokenCLI) createCommand() *cobra.Command {
	var w wanted
	var save bool
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token",
		Long: `Make a token and print it, or with --save keep it: for oneself, or, as administrator,
for somebody else. With --data it is for the user admin, unless --user names another.

This is how a server gets its first token:

  dalang token create --data /var/lib/dalang --save`,
		Example: `  dalang token create --lifetime 30d --label ci
  dalang token create --user brian --lifetime 8h`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *accessAPI) error {
				if w.Login == "" && a.local {
					w.Login = "admin"
				}
				w.Client = "dalang token create"
				return c.create(ctx, a, "/v1/tokens", w, save, cmd.OutOrStdout(), cmd.ErrOrStderr())
			})
		},
	}
	cmd.Flags().StringVar(&w.Login, "user", "", "`login` of the user whom it is for")
	_ = cmd.RegisterFlagCompletionFunc("user", c.completeLogins)
	w.addTo(cmd, &save)
	return cmd
}

// create asks for a token and prints or saves it; what else there is to say
// goes to told.
func (c *tokenCLI) create(ctx context.Context, a *accessAPI, path string, w wanted, save bool, out, told io.Writer) error {
	var made struct{ Token string }
	if err := a.send(ctx, http.MethodPost, path, w, &made); err != nil {
		return err
	}
	var info struct {
		Login   string    `json:"login"`
		Expires time.Time `json:"expiration"`
	}
	// It is there; that nothing more is known of it is no reason to lose it.
	said := "The token"
	if a.send(ctx, http.MethodPost, "/v2/auth/token/authenticate", map[string]string{"token": made.Token}, &info) == nil {
		said = fmt.Sprintf("The token of %s, good until %s,", oneLine(info.Login), humanMinute(info.Expires)+" UTC")
	}
	if save {
		path, err := saveToken(c.getenv, made.Token)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "%s is in %s.\n", said, path)
		return err
	}
	if _, err := fmt.Fprintln(out, made.Token); err != nil {
		return err
	}
	_, err := fmt.Fprintf(told, "%s is not shown again.\n", said)
	return err
}

func (c *tokenCLI) loginCommand() *cobra.Command {
	var w wanted
	var show bool
	cmd := &cobra.Command{
		Use:   "login LOGIN",
		Short: "Get a token for a password",
		Long: `Get a token for a password and write it to ~/.puppetlabs/token, where the other
commands look for it. The password is asked for, or read from standard input where
that is no terminal.`,
		Example: `  dalang token login brian --lifetime 8h`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := c.password(cmd.ErrOrStderr(), "Password of "+args[0])
			if err != nil {
				return err
			}
			w.Login, w.Password, w.Client = args[0], password, "dalang token login"
			return c.with(cmd.Context(), func(ctx context.Context, a *accessAPI) error {
				return c.create(ctx, a, "/v1/auth/token", w, !show, cmd.OutOrStdout(), cmd.ErrOrStderr())
			})
		},
	}
	var save bool
	w.addTo(cmd, &save)
	_ = cmd.Flags().MarkHidden("save")
	cmd.Flags().BoolVar(&show, "print", false, "print it instead")
	return cmd
}

func (c *tokenCLI) listCommand() *cobra.Command {
	var login, output string
	var all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tokens: one's own, or as administrator those of others",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *accessAPI) error {
				query, err := a.tokenQuery(ctx, login, all)
				if err != nil {
					return err
				}
				if output == "json" {
					return a.raw(ctx, "/v2/tokens", query, cmd.OutOrStdout())
				}
				var list struct{ Items []tokenInfo }
				if err := a.get(ctx, "/v2/tokens", query, &list); err != nil {
					return err
				}
				return c.print(cmd.OutOrStdout(), list.Items)
			})
		},
	}
	cmd.Flags().StringVar(&login, "user", "", "`login` of the user whose tokens to list")
	cmd.Flags().BoolVar(&all, "all", false, "list everybody's")
	cmd.MarkFlagsMutuallyExclusive("user", "all")
	_ = cmd.RegisterFlagCompletionFunc("user", c.completeLogins)
	addOutput(cmd, &output)
	return cmd
}

func (c *tokenCLI) print(out io.Writer, tokens []tokenInfo) error {
	if len(tokens) == 0 {
		_, err := fmt.Fprintln(out, "There are no tokens.")
		return err
	}
	t := &table{right: map[int]bool{0: true}}
	t.add("ID", "USER", "LABEL", "CREATED", "GOOD UNTIL", "LAST USED", "STATE", "DESCRIPTION")
	now := c.now()
	for _, k := range tokens {
		state := "good"
		switch {
		case k.Revoked != nil:
			state = "revoked"
		case !now.Before(k.Expires):
			state = "expired"
		}
		used := "-"
		if k.LastActive.After(k.Created) {
			used = humanMinute(k.LastActive)
		}
		t.add(k.ID, orDash(k.Login), orDash(k.Label), humanMinute(k.Created), humanMinute(k.Expires), used, state, orDash(k.Description))
	}
	return t.print(out, width(out))
}

func (c *tokenCLI) revokeCommand() *cobra.Command {
	var login, label string
	cmd := &cobra.Command{
		Use:   "revoke {ID... | --user LOGIN | --label NAME | -}",
		Short: "Take tokens back, at once and for ever",
		Long: `Take tokens back, at once and for ever: by the ids that 'dalang token list' shows,
all of a user, those of one's own with a label, or, with -, the token itself, which is
read from standard input.`,
		Example: `  dalang token revoke 7 9
  dalang token revoke - < ~/.puppetlabs/token`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := c.revocation(args, login, label)
			if err != nil {
				return &usageError{hinted(cmd, err)}
			}
			return c.with(cmd.Context(), func(ctx context.Context, a *accessAPI) error {
				text, err := json.Marshal(body)
				if err != nil {
					return err
				}
				if err := a.client.JSON(ctx, client.Request{Method: http.MethodDelete, Path: "/rbac-api/v2/tokens", Body: text}, nil); err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "Revoked.")
				return err
			})
		},
	}
	cmd.Flags().StringVar(&login, "user", "", "`login` of the user whose tokens to take back")
	cmd.Flags().StringVar(&label, "label", "", "take back one's own tokens with this label")
	_ = cmd.RegisterFlagCompletionFunc("user", c.completeLogins)
	return cmd
}

var tokenID = regexp.MustCompile(`\A[0-9]+\z`)

// revocation is what to take back, in the words of the API.
func (c *tokenCLI) revocation(args []string, login, label string) (map[string][]string, error) {
	body := map[string][]string{}
	if login != "" {
		body["revoke_tokens_by_usernames"] = []string{login}
	}
	if label != "" {
		body["revoke_tokens_by_labels"] = []string{label}
	}
	for _, arg := range args {
		switch {
		case tokenID.MatchString(arg):
			body["revoke_tokens_by_ids"] = append(body["revoke_tokens_by_ids"], arg)
		case arg == "-":
			token, err := c.line()
			if err != nil {
				return nil, err
			}
			body["revoke_tokens"] = []string{token}
		default:
			return nil, errors.New("a token is named by its id, a number; the token itself does not belong on a command line, where others can read it: " +
				"use - and standard input")
		}
	}
	if len(body) == 0 {
		return nil, errors.New("say which tokens: ids, --user, --label, or -")
	}
	return body, nil
}

// line is the first line of standard input.
func (c *remote) line() (string, error) {
	text, err := bufio.NewReader(io.LimitReader(c.in, 64<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("standard input: %w", err)
	}
	text = strings.TrimRight(text, "\r\n")
	if text == "" {
		return "", errors.New("there is nothing on standard input")
	}
	return text, nil
}
