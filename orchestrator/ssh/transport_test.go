package ssh

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/agentless"
	"dalang/orchestrator/job"
	"dalang/orchestrator/task"
)

// told is what a sink was told last.
type told struct {
	outcome job.Outcome
	err     error
}

type sink struct {
	began chan struct{}
	ended chan told
}

func (s *sink) Provisional(string, uuid.UUID)               { s.began <- struct{}{} }
func (s *sink) Result(_ string, _ uuid.UUID, o job.Outcome) { s.ended <- told{outcome: o} }
func (s *sink) Error(_ string, _ uuid.UUID, err error)      { s.ended <- told{err: err} }
func (s *sink) Presence(string, bool)                       {}

func transport(t *testing.T, s server) (*agentless.Transport, *sink) {
	t.Helper()
	k := &sink{make(chan struct{}, 9), make(chan told, 9)}
	tr, err := NewTransport(TransportConfig{Sink: k,
		Target: func(_ context.Context, _ int64, certname string) (Target, error) {
			if certname == "nosuch" {
				return Target{}, errors.New("no connection is stored")
			}
			return s.target(), nil
		},
		Open: func(_ context.Context, f task.File) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(map[string]string{
				"init.sh": "#!/bin/sh\ncat\n", "fail.sh": "#!/bin/sh\necho '{\"_error\":{\"msg\":\"no\"}}'; exit 2\n",
				"where.sh": "#!/bin/sh\ncat \"$PT__installdir/m/files/a\"\n", "m/files/a": "shared", "args.sh": "#!/bin/sh\necho \"$2\"\n",
			}[f.Filename])), nil
		}})
	require.NoError(t, err)
	t.Cleanup(tr.Close)
	return tr, k
}

func request(module, action, params string) job.Request {
	return job.Request{TransactionID: uuid.New(), JobID: 1, Certname: "web01", Module: module, Action: action,
		Params: json.RawMessage(params), Timeout: time.Minute}
}

func TestTransport(t *testing.T) {
	s := serve(t)
	tr, k := transport(t, s)
	require.Equal(t, "ssh", tr.Name())
	require.True(t, tr.Connected("anybody"))
	for _, c := range []struct {
		name, module, params string
		state                job.State
		results              string
	}{
		{"task", "task", `{"task":"m","input":{"n":10.0,"s":"x"},"files":[{"filename":"init.sh"}],"metadata":{"input_method":"stdin"}}`,
			job.Finished, `{"_task":"m","n":10.0,"s":"x"}`},
		{"failed task", "task", `{"task":"m::fail","input":{},"files":[{"filename":"fail.sh"}]}`,
			job.Failed, `{"_error":{"details":{},"kind":"bolt/error","msg":"no"}}`},
		{"shared files", "task", `{"task":"m::where","input":{},"files":[{"filename":"where.sh"},{"filename":"m/files/a"}],"metadata":{"files":["m/files/a"]}}`,
			job.Finished, `{"_output":"shared"}`},
		{"command", "command", `{"command":"echo hello"}`, job.Finished, `{"exit_code":0,"stderr":"","stdout":"hello\n"}`},
		{"failed command", "command", `{"command":"exit 7"}`, job.Failed,
			`{"_error":{"details":{"exit_code":7},"issue_code":"COMMAND_ERROR","kind":"puppetlabs.tasks/command-error","msg":"The command failed with exit code 7"},"exit_code":7,"stderr":"","stdout":""}`},
		{"script", "script", `{"script":{"filename":"m/args.sh"},"arguments":["a","b c"]}`, job.Finished, `{"exit_code":0,"stderr":"","stdout":"b c\n"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			params := strings.ReplaceAll(c.params, `"m/args.sh"`, `"args.sh"`)
			require.NoError(t, tr.Start(t.Context(), request(c.module, "run", params)))
			<-k.began
			got := <-k.ended
			require.NoError(t, got.err)
			require.Equal(t, c.state, got.outcome.State)
			require.JSONEq(t, c.results, string(got.outcome.Results))
			require.Contains(t, string(got.outcome.Results), strings.Trim(c.results, "{}")[:5], "numbers stay as they are written")
		})
	}
	empty(t, s)
}

// TestTransportApply: resources need an agent, and nobody is dialled for them.
func TestTransportApply(t *testing.T) {
	s := serve(t, "SUDO_FAKE=password")
	tr, _ := transport(t, s)
	err := tr.Start(t.Context(), request("apply", "apply", `{"catalog":{},"apply_options":{}}`))
	var refused *job.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "puppetlabs.orchestrator/execution-failure", refused.Kind)
	require.Equal(t, "Resources cannot be applied over ssh: that takes an agent on web01; nothing was run there", refused.Msg)
	empty(t, s)
}

// TestTransportUpload: files and directories come where they are to be.
func TestTransportUpload(t *testing.T) {
	s := serve(t, "SUDO_FAKE=password")
	tr, k := transport(t, s)
	upload := func(files string) told {
		r := request("file", "download", `{"files":[`+strings.ReplaceAll(files, "HOME", s.Home)+`]}`)
		require.NoError(t, tr.Start(t.Context(), r))
		<-k.began
		return <-k.ended
	}
	got := upload(`{"kind":"directory","destination":"HOME/new/it's"},
		{"kind":"file","destination":"HOME/new/it's/init.sh","sha256":"x","uri":{"path":"/puppet/v3/file_content/init.sh"}},
		{"kind":"file","destination":"HOME/other/a/init.sh"}`)
	require.NoError(t, got.err)
	require.Equal(t, job.Finished, got.outcome.State)
	require.JSONEq(t, `{"_output":"downloaded"}`, string(got.outcome.Results))
	for _, name := range []string{"new/it's/init.sh", "other/a/init.sh"} {
		text, err := os.ReadFile(filepath.Join(s.Home, name))
		require.NoError(t, err)
		require.Equal(t, "#!/bin/sh\ncat\n", string(text))
		info, err := os.Stat(filepath.Join(s.Home, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o750), info.Mode())
	}
	got = upload(`{"kind":"file","destination":"HOME/new"}`)
	require.NoError(t, got.err)
	require.Equal(t, job.Failed, got.outcome.State)
	require.Contains(t, string(got.outcome.Results), "new: it is a directory")
	got = upload(`{"kind":"directory","destination":"HOME/other/a/init.sh/b"},{"kind":"file","destination":"HOME/never"}`)
	require.Equal(t, job.Failed, got.outcome.State)
	require.NoFileExists(t, filepath.Join(s.Home, "never"))
	for files, want := range map[string]string{"": "no files", `{"kind":"file","destination":"a"}`: "files[0]: the destination must be an absolute path, not \"a\"",
		`{"kind":"directory","destination":"/a/.."}`: "absolute path", `{"kind":"symlink","destination":"/a","link_source":"b"}`: "neither a file nor a directory"} {
		require.ErrorContains(t, tr.Start(t.Context(), request("file", "download", `{"files":[`+files+`]}`)), want)
	}
	empty(t, s)
}

func TestTransportErrors(t *testing.T) {
	s := serve(t)
	tr, k := transport(t, s)
	for _, r := range []job.Request{request("pxp-module-puppet", "run", `{}`), request("task", "run", `{}`), request("command", "run", `[]`),
		request("script", "run", `{}`), request("task", "run", `{"task":"m","files":[]}`),
		request("task", "run", `{"task":"m","files":[{"filename":"a.ps1"}],"metadata":{"implementations":[{"name":"a.ps1","requirements":["powershell"]}]}}`)} {
		require.Error(t, tr.Start(t.Context(), r))
	}
	r := request("command", "run", `{"command":"true"}`)
	r.Certname = "nosuch"
	require.NoError(t, tr.Start(t.Context(), r))
	var e *job.Error
	require.ErrorAs(t, (<-k.ended).err, &e)
	require.Equal(t, agentless.KindConnect, e.Kind)
	require.Contains(t, e.Msg, "no connection is stored")
}

func TestTransportStop(t *testing.T) {
	s := serve(t)
	tr, k := transport(t, s)
	params, err := json.Marshal(map[string]string{"command": slow})
	require.NoError(t, err)
	r := request("command", "run", string(params))
	require.NoError(t, tr.Start(t.Context(), r))
	require.NoError(t, tr.Start(t.Context(), r), "twice is once")
	<-k.began
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(s.Home, "began"))
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, tr.Stop(t.Context(), r))
	var e *job.Error
	require.ErrorAs(t, (<-k.ended).err, &e)
	require.Equal(t, "puppetlabs.orchestrator/force-stopped", e.Kind)
	gone(t, filepath.Join(s.Home, "child"))
	empty(t, s)
	require.NoError(t, tr.Stop(t.Context(), r), "what is over may be stopped")
}

// TestTransportQuery: a run of an earlier life has erred, and leaves nothing.
func TestTransportQuery(t *testing.T) {
	s := serve(t)
	tr, k := transport(t, s)
	r := request("command", "run", `{"command":"true"}`)
	left := filepath.Join(s.Home, "dalang-"+r.TransactionID.String())
	require.NoError(t, os.MkdirAll(left, 0o700))
	require.NoError(t, tr.Query(t.Context(), r))
	var e *job.Error
	require.ErrorAs(t, (<-k.ended).err, &e)
	require.Equal(t, agentless.KindRestarted, e.Kind)
	require.Contains(t, e.Msg, "was deleted")
	empty(t, s)
	r.Certname = "nosuch"
	require.NoError(t, tr.Query(t.Context(), r))
	require.ErrorAs(t, (<-k.ended).err, &e)
	require.Contains(t, e.Msg, "could not be deleted")
}
