// Package orch holds the handlers of the orchestrator's HTTP surface:
// /orchestrator/v1 and its companions. A handler writes its success itself and
// returns everything else as an error, a *job.Error where the client is meant;
// package server maps it to a response in one place.
//
// # Requests
//
// A body is a JSON object of at most MaxBody bytes, whatever its Content-Type.
// A member that is null is absent. A member that the endpoint does not know is
// refused by name: a misspelt noop must never become a run that changes nodes.
// A member of the wrong type or value is refused with details that name it:
// {"key": "scope.nodes[1]", "expected": "a certname", "got": "a number"}.
//
// # Responses
//
// Every id is an absolute URL. Times are UTC with seconds,
// 2006-01-02T15:04:05Z, and null where there is none; durations are numbers of
// seconds. A key never changes its type from one response to another; it may
// be null. Of the numbers of events, the id of an event and next-events.event
// are strings, latest-event-id is an integer.
package orch
