//go:build !linux

package queue

func moveNoReplace(oldPath, newPath string) error { return moveByLink(oldPath, newPath) }
