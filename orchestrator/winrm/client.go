package winrm

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/go-ntlmssp"
	wsman "github.com/masterzen/winrm"
	"github.com/masterzen/winrm/soap"

	"dalang/orchestrator/agentless"
)

const (
	// operationTime is how long the service holds a question for output open.
	operationTime = 20 * time.Second
	// envelope is the largest message that a service takes as it is installed.
	envelope = 153600
	// chunk of standard input: base64 and its envelope have to fit.
	chunk = (envelope - 4000) / 4 * 3
	// postTime bounds one message and its answer.
	postTime = 2 * time.Minute
	// prepareTime bounds what is done before a run.
	prepareTime = time.Hour
	// farewell bounds what is done after a run, whatever became of it.
	farewell = 10 * time.Second
	// maxAnswer bounds one answer.
	maxAnswer = 4 << 20
)

// client talks to one service. The messages are the library's; the way there
// is ours, because the library's cannot be given up.
type client struct {
	target    Target
	url       string
	http      *http.Client
	params    *wsman.Parameters
	maxOutput int
}

func newClient(t Target, maxOutput int) (*client, error) {
	scheme := "https"
	if t.NoTLS {
		scheme = "http"
	}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.Insecure} //nolint:gosec // what the caller asked for
	if t.CACert != nil {
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM(t.CACert) {
			return nil, agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "The CA certificate for %s cannot be read: it must be PEM", t.Host)
		}
	}
	base := &http.Transport{TLSClientConfig: tlsConfig, DialContext: (&net.Dialer{Timeout: t.ConnectTimeout}).DialContext,
		TLSHandshakeTimeout: t.ConnectTimeout, ResponseHeaderTimeout: operationTime + farewell, MaxIdleConnsPerHost: 1}
	return &client{target: t, url: scheme + "://" + net.JoinHostPort(t.Host, strconv.Itoa(t.Port)) + "/wsman", maxOutput: maxOutput,
		http:   &http.Client{Transport: ntlmssp.Negotiator{RoundTripper: base, AllowBasicAuth: !t.NoTLS}}, // never a password in clear
		params: wsman.NewParameters(fmt.Sprintf("PT%dS", int(operationTime.Seconds())), "en-US", envelope)}, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// fault is an answer that is not 200.
type fault struct {
	status int
	body   string
}

func (f *fault) Error() string { return fmt.Sprintf("WinRM answers %d: %.300s", f.status, f.body) }

// idle tells whether there was merely nothing to say in operationTime.
func (f *fault) idle() bool {
	return strings.Contains(f.body, "2150858793") || strings.Contains(f.body, "OperationTimeout")
}

// post sends a message. Its errors are *agentless.Error, *fault or ctx's.
func (c *client) post(ctx context.Context, message *soap.SoapMessage) (string, error) {
	defer message.Free()
	limited, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodPost, c.url, strings.NewReader(message.String()))
	if err != nil {
		return "", agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "%s is not an address of WinRM", c.url)
	}
	req.Header.Set("Content-Type", "application/soap+xml;charset=UTF-8")
	req.SetBasicAuth(c.target.User, c.target.Password) // the negotiator's input
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "Failed to connect to %s: %v", c.target.Host, err)
	}
	defer res.Body.Close() // read only
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case ctx.Err() != nil && (err != nil || res.StatusCode != http.StatusOK): // the negotiator gives what it has
		return "", ctx.Err()
	case err != nil:
		return "", agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "The connection to %s was lost: %v", c.target.Host, err)
	case res.StatusCode == http.StatusUnauthorized:
		return "", agentless.Failed(agentless.KindConnect, agentless.CodeAuth, "Authentication failed for user %s on %s", c.target.User, c.target.Host)
	case res.StatusCode != http.StatusOK:
		return "", &fault{res.StatusCode, string(body)}
	case !strings.Contains(res.Header.Get("Content-Type"), "application/soap+xml"):
		return "", agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "%s is not a WinRM service: its answer is %.80q", c.url, res.Header.Get("Content-Type"))
	}
	return string(body), nil
}

// output is what a command left.
type output struct {
	stdout, stderr []byte
	exit           int
}

// run runs a command line in a shell of its own.
func (c *client) run(ctx context.Context, line string, stdin []byte) (*output, error) {
	answer, err := c.post(ctx, wsman.NewOpenShellRequest(c.url, c.params))
	if err != nil {
		return nil, c.told(err)
	}
	shell, err := wsman.ParseOpenShellResponse(answer)
	if err != nil || shell == "" {
		return nil, agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "%s opens no shell: its answer names none", c.target.Host)
	}
	defer func() {
		// Ends the command, too. The service does so by itself after some hours.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		_, _ = c.post(ctx, wsman.NewDeleteShellRequest(c.url, shell, c.params))
	}()
	answer, err = c.post(ctx, wsman.NewExecuteCommandRequest(c.url, shell, line, nil, c.params))
	if err != nil {
		return nil, c.told(err)
	}
	command, err := wsman.ParseExecuteCommandResponse(answer)
	if err != nil || command == "" {
		return nil, agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "%s runs no command: its answer names none", c.target.Host)
	}
	for last := false; !last && stdin != nil; {
		part := stdin[:min(len(stdin), chunk)]
		stdin = stdin[len(part):]
		last = len(stdin) == 0
		if _, err := c.post(ctx, wsman.NewSendInputRequest(c.url, shell, command, part, last, c.params)); err != nil {
			return nil, c.told(err)
		}
	}
	return c.receive(ctx, shell, command)
}

// receive asks for output until the command has ended.
func (c *client) receive(ctx context.Context, shell, command string) (*output, error) {
	var stdout, stderr bytes.Buffer
	for {
		answer, err := c.post(ctx, wsman.NewGetOutputRequest(c.url, shell, command, "stdout stderr", c.params))
		var f *fault
		if errors.As(err, &f) && f.idle() {
			continue
		}
		if err != nil {
			return nil, c.told(err)
		}
		ended, exit, err := wsman.ParseSlurpOutputErrResponse(answer, &stdout, &stderr)
		if err != nil {
			return nil, agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "The answer of %s cannot be read: %v", c.target.Host, err)
		}
		if max(stdout.Len(), stderr.Len()) > c.maxOutput {
			return nil, agentless.Failed(agentless.KindFile, agentless.CodeOutput, "The command on %s writes more than %d bytes", c.target.Host, c.maxOutput)
		}
		if ended {
			return &output{stdout.Bytes(), stderr.Bytes(), exit}, nil
		}
	}
}

// told makes a fault an error for people.
func (c *client) told(err error) error {
	var f *fault
	if errors.As(err, &f) {
		return agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "%s refuses: %v", c.target.Host, f)
	}
	return err
}
