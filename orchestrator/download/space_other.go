//go:build !linux

package download

import "errors"

func free(string) (int64, error) { return 0, errors.New("nobody knows here") }
