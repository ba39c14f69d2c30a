// Package winrm runs tasks, commands and scripts on Windows targets without an
// agent, through PowerShell over WinRM (orchestrator.md §9.9).
//
// NOT PROVEN: no Windows was at hand. The scripts are tested for what they
// say, and the conversation with a server that answers as the protocol's
// description says; nothing here has met a real WinRM service.
//
// # A run
//
//  1. make a directory dalang-<transaction id> below [IO.Path]::GetTempPath()
//  2. put the files there: base64 on standard input, so that no command line
//     grows with them or shows them
//  3. put wrapper.ps1 beside them, which sets the PT_ variables and runs the task
//  4. run it
//  5. delete the directory, also after a timeout or a stop
//
// The job's time is that of step 4. The steps before it have an hour, each
// message two minutes, and the last step ten seconds; a result that came counts.
//
// A .ps1 file whose input method is powershell gets those of its arguments
// that it declares, by name; other files get JSON on standard input, from a
// program that their extension names: .rb and .pp by default, others only if
// the target lists them as extensions.
package winrm
