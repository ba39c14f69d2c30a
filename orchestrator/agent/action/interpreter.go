package action

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// interpreter tells how to run a file: by the interpreter that the settings
// name for its extension, else by itself. A file whose #! names a program that
// this machine lacks is run by the one of PATH that its extension stands for:
// modules name the Ruby of Puppet's own packages, which distributions do not
// have there.
func interpreter(s *Settings, path string) (program string, args []string, err error) {
	extension := filepath.Ext(path)
	if by := s.Interpreters[extension]; by != "" {
		return by, []string{path}, nil
	}
	if extension == ".ps1" {
		shell, err := powershell()
		return shell, append(powershellArgs(), "-File", path), err
	}
	line := firstLine(path)
	named, ok := strings.CutPrefix(line, "#!")
	words := strings.Fields(named)
	if !ok || len(words) == 0 {
		return path, nil, nil
	}
	if _, err := os.Stat(words[0]); err == nil {
		return path, nil, nil
	}
	by, err := exec.LookPath(standIn(extension))
	if err != nil {
		return "", nil, fmt.Errorf("%s cannot be executed: there is no %s", filepath.Base(path), words[0])
	}
	return by, []string{path}, nil
}

// standIn is the usual name of an extension's interpreter.
func standIn(extension string) string {
	switch extension {
	case ".rb":
		return "ruby"
	case ".py":
		return "python3"
	case ".pl":
		return "perl"
	case ".sh":
		return "sh"
	}
	return ""
}

func firstLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "" // running it will tell
	}
	defer f.Close() // read only
	line, _ := bufio.NewReader(io.LimitReader(f, 256)).ReadString('\n')
	return line
}

func powershell() (string, error) {
	shell, err := exec.LookPath("pwsh")
	if err != nil {
		return "", fmt.Errorf("PowerShell is not installed: %w", err)
	}
	return shell, nil
}

func powershellArgs() []string {
	return []string{"-NoProfile", "-NonInteractive", "-NoLogo", "-ExecutionPolicy", "Bypass"}
}

// powershellShim gives the JSON object on standard input to a script as named
// parameters, those that it declares. The script's path comes in the environment.
const powershellShim = `$ErrorActionPreference = 'Stop'
$task = $env:DALANG_TASK_FILE
$given = [Console]::In.ReadToEnd() | ConvertFrom-Json
$known = (Get-Command $task).Parameters
$named = @{}
foreach ($p in $given.PSObject.Properties) { if ($known.ContainsKey($p.Name)) { $named[$p.Name] = $p.Value } }
& $task @named
if (-not $?) { if ($LASTEXITCODE) { exit $LASTEXITCODE } else { exit 1 } }
exit $LASTEXITCODE`
