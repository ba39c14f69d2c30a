//go:build !unix

package planjob

import "os/exec"

// group leaves the command alone: there are no process groups.
func group(*exec.Cmd) {}

func killGroup(*exec.Cmd) {}
