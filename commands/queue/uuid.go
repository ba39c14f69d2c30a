package queue

import "github.com/google/uuid"

// UUID is the uuid of the command with this file name, whether it is in the
// queue or has left it.
func (q *Queue) UUID(name string) uuid.UUID { return uuid.NewSHA1(q.salt, []byte(name)) }
