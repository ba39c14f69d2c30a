package content

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

func TestShim(t *testing.T) {
	d, root := world(t)
	s := WithShim(d)
	tasks, _, err := s.Tasks(t.Context(), "production")
	require.NoError(t, err)
	for _, name := range names(tasks) {
		require.NotContains(t, name, "bolt_shim")
	}
	command, err := s.Task(t.Context(), "production", "bolt_shim::command")
	require.NoError(t, err)
	require.True(t, command.Command)
	require.Empty(t, command.Files)
	for own, secret := range map[string]string{"script": "content", "upload": "content"} {
		found, err := s.Task(t.Context(), "production", "bolt_shim::"+own)
		require.NoError(t, err)
		require.False(t, found.Command)
		arguments, err := found.Metadata.Arguments(json.RawMessage(`{"content":"x","arguments":[],"path":"/x","mode":1,"directory":false}`))
		if own == "script" {
			require.Error(t, err)
			arguments, err = found.Metadata.Arguments(json.RawMessage(`{"content":"x","arguments":[]}`))
		} else {
			require.Error(t, err)
			arguments, err = found.Metadata.Arguments(json.RawMessage(`{"content":"x","path":"/x","mode":1,"directory":false}`))
		}
		require.NoError(t, err)
		require.Equal(t, []string{secret}, arguments.Sensitive)
		require.Len(t, found.Files, 1)
		f := found.Files[0]
		r, err := s.Open(t.Context(), f)
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, f.SHA256, sha(string(text)))
		require.EqualValues(t, len(text), f.Size)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, f.URI.Path+"?environment=production", nil))
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, string(text), w.Body.String())
		w = httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, f.URI.Path+"?environment=nosuch", nil))
		require.Equal(t, http.StatusNotFound, w.Code)
	}
	for path, want := range map[string]int{"tasks/facts/init.sh": 200, "tasks/bolt_shim/command.sh": 404, "tasks/bolt_shim/nothing.sh": 404, "tasks/bolt_shim/../x": 404} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, Prefix+path+"?environment=production", nil))
		require.Equal(t, want, w.Code, path)
	}
	for _, name := range []string{"bolt_shim", "bolt_shim::other", "nosuch::command"} {
		_, err := s.Task(t.Context(), "production", name)
		require.ErrorIs(t, err, job.UnknownTask("", ""), name)
	}
	_, err = s.Task(t.Context(), "nosuch", "bolt_shim::command")
	require.ErrorIs(t, err, job.UnknownEnvironment(""))

	// The module itself comes first.
	lay(t, root, map[string]string{"environments/custom/site/bolt_shim/tasks/script.sh": "theirs", "environments/custom/site/bolt_shim/tasks/command.rb": "theirs"})
	for own, command := range map[string]bool{"command": false, "script": false} {
		found, err := s.Task(t.Context(), "custom", "bolt_shim::"+own)
		require.NoError(t, err)
		require.Equal(t, command, found.Command)
		require.Equal(t, sha("theirs"), found.Files[0].SHA256)
		r, err := s.Open(t.Context(), found.Files[0])
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, "theirs", string(text))
		require.NoError(t, r.Close())
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, Prefix+"tasks/bolt_shim/script.sh?environment=custom", nil))
	require.Equal(t, "theirs", w.Body.String())
}

// TestShimOfPuppetServer: whose agents could not get files from here.
func TestShimOfPuppetServer(t *testing.T) {
	p, server := newPuppetServer()
	s := WithShim(server)
	found, err := s.Task(t.Context(), "production", "bolt_shim::command")
	require.NoError(t, err)
	require.True(t, found.Command)
	_, err = s.Task(t.Context(), "production", "bolt_shim::script")
	require.ErrorIs(t, err, job.UnknownTask("", ""))
	p.set(func() { p.broken = true })
	_, err = s.Task(t.Context(), "production", "bolt_shim::command")
	require.ErrorIs(t, err, job.Unavailable(io.EOF), "it may have one of its own")
}

// TestShimFiles: what the files do with what Bolt sends.
func TestShimFiles(t *testing.T) {
	if _, err := exec.LookPath("ruby"); err != nil {
		t.Skip("there is no ruby")
	}
	dir := t.TempDir()
	run := func(text string, input map[string]any) map[string]any {
		t.Helper()
		file := filepath.Join(dir, "task.sh")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o700))
		in, err := json.Marshal(input)
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), "sh", file)
		cmd.Stdin = bytes.NewReader(in)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		var result map[string]any
		require.NoError(t, json.Unmarshal(out, &result), "%s", out)
		return result
	}
	b64 := base64.StdEncoding.EncodeToString
	require.Equal(t, map[string]any{"stdout": "me.sh b c\ufffd\n", "stderr": "err\n", "exit_code": 3.0}, run(shimScript, map[string]any{
		"content": b64([]byte("#!/bin/sh\nprintf '%s %s\\377\\n' \"$(basename $0)\" \"$2\"; echo err >&2; exit 3\n")), "arguments": []string{"a", "b c"}, "name": "me.sh"}))
	left, err := filepath.Glob(filepath.Join(dir, "script*"))
	require.NoError(t, err)
	require.Empty(t, left)

	require.Equal(t, map[string]any{"success": true}, run(shimUpload, map[string]any{"path": dir + "/up", "content": b64([]byte{0, 255, 10}), "mode": 0o100640, "directory": false}))
	text, err := os.ReadFile(dir + "/up")
	require.NoError(t, err)
	require.Equal(t, []byte{0, 255, 10}, text)
	info, err := os.Stat(dir + "/up")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode())

	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	w := tar.NewWriter(z)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "sub/f", Mode: 0o600, Size: 1}))
	_, err = w.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	require.Equal(t, map[string]any{"success": true}, run(shimUpload, map[string]any{"path": dir + "/updir", "content": b64(packed.Bytes()), "mode": 0o40750, "directory": true}))
	text, err = os.ReadFile(dir + "/updir/sub/f")
	require.NoError(t, err)
	require.Equal(t, "x", string(text))
}
