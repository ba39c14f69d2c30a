package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"dalang/orchestrator/agentless"
)

// dial connects and logs in. Its errors are *Error, or ctx's.
func dial(ctx context.Context, t Target, knownHosts []string) (*ssh.Client, error) {
	config := &ssh.ClientConfig{User: t.User, Timeout: t.ConnectTimeout}
	if t.PrivateKey != "" {
		key, err := ssh.ParsePrivateKey([]byte(t.PrivateKey))
		if err != nil {
			return nil, agentless.Failed(agentless.KindConnect, agentless.CodeAuth, "The private key for %s cannot be read: it must be PEM or OpenSSH's, without a passphrase", t.Host)
		}
		config.Auth = append(config.Auth, ssh.PublicKeys(key))
	}
	if t.Password != "" {
		config.Auth = append(config.Auth, ssh.Password(t.Password), ssh.KeyboardInteractive(
			func(_, _ string, questions []string, _ []bool) ([]string, error) {
				answers := make([]string, len(questions))
				for i := range answers {
					answers[i] = t.Password
				}
				return answers, nil
			}))
	}
	config.HostKeyCallback = ssh.InsecureIgnoreHostKey() //nolint:gosec // what the caller asked for
	if t.HostKeyCheck {
		check, err := knownhosts.New(knownHosts...)
		if err != nil {
			return nil, agentless.Failed(agentless.KindConnect, agentless.CodeHostKey, "The known hosts cannot be read: %v", err)
		}
		config.HostKeyCallback = check
	}
	address := net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
	limited, cancel := context.WithTimeout(ctx, t.ConnectTimeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(limited, "tcp", address)
	if err != nil {
		return nil, connectError(ctx, t, err)
	}
	if err := raw.SetDeadline(time.Now().Add(t.ConnectTimeout)); err != nil {
		raw.Close()
		return nil, connectError(ctx, t, err)
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	conn, channels, requests, err := ssh.NewClientConn(raw, address, config)
	if !stop() || err != nil {
		raw.Close()
		return nil, connectError(ctx, t, err)
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		conn.Close()
		return nil, connectError(ctx, t, err)
	}
	return ssh.NewClient(conn, channels, requests), nil
}

// connectError says why there is no connection. What the library says of
// failed logins names methods, never passwords.
func connectError(ctx context.Context, t Target, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var unknown *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	var timeout net.Error
	switch {
	case errors.As(err, &unknown) && len(unknown.Want) == 0:
		return agentless.Failed(agentless.KindConnect, agentless.CodeHostKey, "The key of host %s is not known", t.Host)
	case errors.As(err, &unknown), errors.As(err, &revoked):
		return agentless.Failed(agentless.KindConnect, agentless.CodeHostKey, "The key of host %s is not the one that is known", t.Host)
	case err != nil && strings.Contains(err.Error(), "unable to authenticate"):
		return agentless.Failed(agentless.KindConnect, agentless.CodeAuth, "Authentication failed for user %s@%s", t.User, t.Host)
	case errors.As(err, &timeout) && timeout.Timeout():
		return agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "Timeout after %s connecting to %s", seconds(t.ConnectTimeout), net.JoinHostPort(t.Host, strconv.Itoa(t.Port)))
	}
	return agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "Failed to connect to %s: %v", t.Host, err)
}

func seconds(d time.Duration) string {
	return fmt.Sprintf("%g seconds", d.Seconds())
}
