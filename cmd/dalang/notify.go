package main

import (
	"fmt"
	"net"
	"os"
	"strings"
)

// What a service manager is told, as sd_notify(3) has it.
const (
	notifyReady    = "READY=1"
	notifyStopping = "STOPPING=1"
)

// notify tells the service manager that started us, if one did, about our
// state: a datagram to the socket that NOTIFY_SOCKET names.
func notify(state string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	if abstract, ok := strings.CutPrefix(name, "@"); ok {
		name = "\x00" + abstract
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	defer conn.Close() // what was sent is sent
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	return nil
}

// tell notifies the service manager. That it does not listen is no reason to
// end.
func (a *app) tell(state string) {
	if err := notify(state); err != nil {
		a.log.Warn("the service manager was not told", "error", err)
	}
}
