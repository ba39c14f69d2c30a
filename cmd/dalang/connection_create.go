package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dalang/cmd/internal/client"
	"dalang/orchestrator/ssh"
)

// connectionCreate is `dalang connection create`.
type connectionCreate struct {
	*connectionCLI
	transport                             string
	user                                  string
	passwordFile, keyFile, sudoFile, cert string
	replace                               bool
}

const connectionCreateLong = `Store how to log in to nodes that have no agent.

A password or a key is needed. --password-file and --key-file name files that have
them, - is standard input. Without either, the password is asked for on a terminal,
and read from standard input elsewhere. Neither can be given on the command line,
which everybody on this machine can see. A key is PEM or OpenSSH's, without a
passphrase.

Over SSH, --run-as has sudo make another user of the one that logs in; its password
is that of --sudo-password-file, else the one of the login.

Over WinRM, which has not been proven against Windows, TLS is used and its
certificate checked, unless --ssl=false or --ssl-verify=false says otherwise.`

func (c *connectionCLI) createCommand() *cobra.Command {
	r := &connectionCreate{connectionCLI: c}
	cmd := &cobra.Command{
		Use:   "create CERTNAME...",
		Short: "Store how to log in to nodes",
		Long:  connectionCreateLong,
		Example: `  dalang connection create switch1.example.com switch2.example.com --user admin
  dalang connection create web1.example.com --user deploy --key-file ~/.ssh/deploy --run-as root --replace
  dalang connection create db1 --hostname 10.0.0.7 --port 2222 --user admin --password-file pw`,
		Args:              atLeastOneNode,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              r.run,
	}
	f := cmd.Flags()
	f.StringVarP(&r.transport, "transport", "t", "ssh", "how to reach them: ssh or winrm")
	f.StringVarP(&r.user, "user", "u", "", "`name` of the user to log in as")
	f.StringVar(&r.passwordFile, "password-file", "", "`file` with the password; - is standard input")
	f.StringVar(&r.keyFile, "key-file", "", "`file` with the private key, of SSH; - is standard input")
	f.StringVar(&r.sudoFile, "sudo-password-file", "", "`file` with the password of sudo, of SSH")
	f.StringVar(&r.cert, "cacert", "", "PEM `file` of who signed the certificate, of WinRM")
	f.BoolVar(&r.replace, "replace", false, "replace the connections that nodes have already")
	addParameters(f)
	cmd.MarkFlagsMutuallyExclusive("password-file", "key-file")
	_ = cmd.MarkFlagRequired("user")
	_ = cmd.RegisterFlagCompletionFunc("transport", cobra.FixedCompletions([]string{"ssh", "winrm"}, cobra.ShellCompDirectiveNoFileComp))
	for _, name := range append([]string{"user"}, parameterFlags()...) {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

// addParameters adds the flags that are parameters of the same name.
func addParameters(f *pflag.FlagSet) {
	f.String("hostname", "", "`host` to connect to, if it is not the certname; of one node only")
	f.Int("port", 0, "`port`, if it is not the usual one")
	f.String("run-as", "", "`user` to act as, of SSH")
	f.String("run-as-command", "", "`words` in the place of sudo and its options, of SSH")
	f.Int("connect-timeout", 0, "how many `seconds` connecting may take")
	f.Bool("tty", false, "ask for a terminal, of SSH")
	f.String("tmpdir", "", "`directory` on the node where files may be put")
	f.StringToString("interpreters", nil, "`extension=program` that runs files of it: .rb=/usr/bin/ruby; repeatable")
	f.Lookup("interpreters").DefValue = "" // not the [] of none
	f.StringSlice("extensions", nil, "`extensions` of files that Windows runs by itself, of WinRM")
	f.Bool("host-key-check", false, "want the host in the server's known hosts, of SSH")
	f.Bool("ssl", true, "use TLS, of WinRM")
	f.Bool("ssl-verify", true, "check the certificate, of WinRM")
}

func parameterFlags() []string {
	return []string{"hostname", "port", "run-as", "run-as-command", "connect-timeout", "tty", "tmpdir", "interpreters", "extensions", "host-key-check", "ssl", "ssl-verify"}
}

func (r *connectionCreate) run(cmd *cobra.Command, args []string) error {
	if !slices.Contains([]string{"ssh", "winrm"}, r.transport) {
		return &usageError{fmt.Errorf("--transport must be ssh or winrm, not %q", r.transport)}
	}
	parameters, err := r.parameters(cmd.Flags())
	if err != nil {
		return err
	}
	secrets, err := r.secrets(cmd)
	if err != nil {
		return err
	}
	body := map[string]any{"certnames": args, "type": r.transport, "parameters": parameters, "sensitive_parameters": secrets, "duplicates": "error"}
	if r.replace {
		body["duplicates"] = "replace"
	}
	return r.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
		err := a.inventory(ctx, "create-connection", body, nil)
		var refused *client.Error
		if errors.As(err, &refused) && refused.Status == http.StatusConflict {
			return fmt.Errorf("%w; --replace replaces them", err)
		}
		return err
	})
}

// parameters are those whose flags were given.
func (r *connectionCreate) parameters(f *pflag.FlagSet) (map[string]any, error) {
	parameters := map[string]any{}
	for _, name := range parameterFlags() {
		flag := f.Lookup(name)
		if !flag.Changed {
			continue
		}
		var value any
		var err error
		switch flag.Value.Type() {
		case "int":
			value, err = f.GetInt(name)
		case "bool":
			value, err = f.GetBool(name)
		case "stringToString":
			value, err = f.GetStringToString(name)
		case "stringSlice":
			value, err = f.GetStringSlice(name)
		default:
			value, err = f.GetString(name)
		}
		if err != nil {
			return nil, err
		}
		parameters[name] = value
	}
	if r.cert != "" {
		text, err := os.ReadFile(r.cert)
		if err != nil {
			return nil, &usageError{fmt.Errorf("--cacert: %w", err)}
		}
		parameters["cacert"] = string(text)
	}
	return parameters, nil
}

// secrets are who logs in, and what with.
func (r *connectionCreate) secrets(cmd *cobra.Command) (map[string]string, error) {
	secrets := map[string]string{"user": r.user}
	for _, s := range []struct{ flag, file, key string }{
		{"password-file", r.passwordFile, "password"}, {"key-file", r.keyFile, "private-key-content"}, {"sudo-password-file", r.sudoFile, "sudo-password"},
	} {
		if s.file == "" {
			continue
		}
		text, err := secretIn(s.file, cmd.InOrStdin())
		if err != nil {
			return nil, &usageError{fmt.Errorf("--%s: %w", s.flag, err)}
		}
		if s.flag != "key-file" {
			text = strings.TrimRight(text, "\r\n")
		}
		if strings.TrimSpace(text) == "" {
			return nil, &usageError{fmt.Errorf("--%s: there is nothing in it", s.flag)}
		}
		if s.flag == "key-file" {
			if err := ssh.CheckKey(text); err != nil {
				return nil, &usageError{fmt.Errorf("--key-file must be a private key in PEM or in OpenSSH's form, without a passphrase, and is %w", err)}
			}
		}
		secrets[s.key] = text
	}
	if r.passwordFile == "" && r.keyFile == "" {
		text, err := (&remote{in: cmd.InOrStdin()}).password(cmd.ErrOrStderr(), "Password of "+r.user)
		if err != nil {
			return nil, err
		}
		secrets["password"] = text
	}
	return secrets, nil
}

// secretIn reads a file, - is standard input. Nobody has a larger secret than
// a key.
func secretIn(file string, in io.Reader) (string, error) {
	const most = 64 << 10
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close() // read only
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && len(text) > most {
		err = fmt.Errorf("it is larger than %d bytes", most)
	}
	return string(text), err
}
