// Package local runs real services, a Kafka broker and a Postgres server, as child processes of this one, from what is
// installed on the machine: Java and Maven, and the Postgres server's own programs.
//
// It is for tests and for development. It makes no attempt at a production setting: one node, one copy, no passwords,
// and it listens on the loopback address only. It knows nothing of package testing; package services does.
package local

import "errors"

// ErrMissing is wrapped by errors that say that the machine lacks what a service needs.
var ErrMissing = errors.New("missing on this machine")
