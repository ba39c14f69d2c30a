package winrm

import (
	"encoding/base64"
	"fmt"
	"path"
	"strings"
	"unicode/utf16"
)

// quote makes a PowerShell string that nothing is expanded in. PowerShell
// takes four more characters for an apostrophe.
func quote(text string) string {
	return "'" + strings.NewReplacer("'", "''", "\u2018", "\u2018\u2018", "\u2019", "\u2019\u2019", "\u201a", "\u201a\u201a", "\u201b", "\u201b\u201b").Replace(text) + "'"
}

const program = "powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass"

// powershell is the command line that runs a script. Windows allows it 8,191
// characters: scripts that could grow are files.
func powershell(script string) string {
	units := utf16.Encode([]rune("$ProgressPreference = 'SilentlyContinue'; $ErrorActionPreference = 'Stop'; " + script))
	raw := make([]byte, 0, 2*len(units))
	for _, u := range units {
		raw = append(raw, byte(u), byte(u>>8))
	}
	return program + " -EncodedCommand " + base64.StdEncoding.EncodeToString(raw)
}

// makeDir prints the directory that it made.
func makeDir(tmpDir, id string) string {
	parent := "([IO.Path]::GetTempPath())"
	if tmpDir != "" {
		parent = quote(tmpDir)
	}
	return fmt.Sprintf("$d = Join-Path %s %s; New-Item -ItemType Directory -Path $d | Out-Null; [Console]::Out.Write($d)", parent, quote("dalang-"+id))
}

// removeDir ends what runs from a directory, and deletes it.
func removeDir(tmpDir, id string) string {
	parent := "([IO.Path]::GetTempPath())"
	if tmpDir != "" {
		parent = quote(tmpDir)
	}
	return fmt.Sprintf("$d = Join-Path %s %s; "+
		"Get-CimInstance Win32_Process | Where-Object { $_.ProcessId -ne $PID -and $_.CommandLine -and $_.CommandLine.Contains($d) } | "+
		"ForEach-Object { Stop-Process -Id $_.ProcessId -Force -ErrorAction SilentlyContinue }; "+
		"if (Test-Path -LiteralPath $d) { Remove-Item -LiteralPath $d -Recurse -Force }", parent, quote("dalang-"+id))
}

// putFile writes what comes in base64 on standard input.
func putFile(file string) string {
	return fmt.Sprintf("$f = %s; New-Item -ItemType Directory -Force -Path (Split-Path -Parent $f) | Out-Null; "+
		"[IO.File]::WriteAllBytes($f, [Convert]::FromBase64String([Console]::In.ReadToEnd()))", quote(file))
}

// join makes a path on the target.
func join(dir, name string) string {
	return strings.TrimRight(dir, `\`) + strings.ReplaceAll(path.Clean("/"+name), "/", `\`)
}

// runWrapper is the command line that runs wrapper.ps1. Its path has to be in
// it as it is, because removeDir looks for it there.
func runWrapper(dir string) string {
	return program + ` -File "` + join(dir, "wrapper.ps1") + `"`
}

// what a wrapper runs.
type wrapped struct {
	env       []string // NAME=value
	command   string   // a line of PowerShell; else
	file      string   // a file on the target
	program   string   // that runs it; "": it runs by itself
	arguments []string
	stdinFile string // goes to its standard input; "": nothing
	namedFile string // JSON of the arguments that it takes by name; "": none
}

// script is wrapper.ps1. It begins with a byte order mark, without which
// Windows PowerShell takes it for the local code page.
func (w *wrapped) script() string {
	var b strings.Builder
	b.WriteString("\ufeff$ProgressPreference = 'SilentlyContinue'\r\n[Console]::OutputEncoding = $OutputEncoding = New-Object Text.UTF8Encoding $false\r\n")
	for _, assignment := range w.env {
		name, value, _ := strings.Cut(assignment, "=")
		fmt.Fprintf(&b, "[Environment]::SetEnvironmentVariable(%s, %s)\r\n", quote(name), quote(value))
	}
	call := w.command
	if call == "" {
		words := []string{"&"}
		if w.program != "" {
			words = append(words, quote(w.program))
		}
		words = append(words, quote(w.file))
		for _, a := range w.arguments {
			words = append(words, quote(a))
		}
		call = strings.Join(words, " ")
	}
	switch {
	case w.namedFile != "":
		fmt.Fprintf(&b, "$given = [IO.File]::ReadAllText(%s) | ConvertFrom-Json\r\n", quote(w.namedFile))
		fmt.Fprintf(&b, "$declared = (Get-Command %s).Parameters.Keys\r\n", quote(w.file))
		b.WriteString("$named = @{}\r\nforeach ($p in $given.PSObject.Properties) { if ($declared -contains $p.Name) { $named[$p.Name] = $p.Value } }\r\n")
		call += " @named"
	case w.stdinFile != "":
		call = fmt.Sprintf("[IO.File]::ReadAllText(%s) | ", quote(w.stdinFile)) + call
	}
	b.WriteString("$global:LASTEXITCODE = 0\r\n$ok = $false\r\ntry { " + call + "; $ok = $? } catch { [Console]::Error.WriteLine($_); exit 1 }\r\n" +
		"if ($LASTEXITCODE) { exit $LASTEXITCODE }\r\nif (-not $ok) { exit 1 }\r\nexit 0\r\n")
	return b.String()
}

// program is what runs a file, by its extension. ok is false when nothing is
// known to.
func (t Target) program(file string) (program string, arguments []string, ok bool) {
	ext := strings.ToLower(path.Ext(file))
	for _, key := range []string{ext, strings.TrimPrefix(ext, ".")} {
		if p := t.Interpreters[key]; p != "" {
			return p, nil, true
		}
	}
	switch ext {
	case ".ps1":
		return "", nil, true
	case ".rb":
		return "ruby.exe", []string{"-S"}, true
	case ".pp":
		return "puppet.bat", []string{"apply"}, true
	}
	for _, e := range t.Extensions {
		if "."+strings.TrimPrefix(strings.ToLower(e), ".") == ext {
			return "", nil, true
		}
	}
	return "", nil, false
}
