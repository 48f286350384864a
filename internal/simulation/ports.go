package simulation

import "github.com/kappaflows/flows/runtime"

// Ports are what a function of a process runs on. A mutation of the engine is made by wrapping them: see Mutation.
type Ports struct {
	Log   runtime.Log
	Store runtime.Store
}

// Mutation makes an engine with a bug of one that has none, by changing what it says to its ports and what it hears. It is
// called once for each function of a process; the process's number tells them apart.
type Mutation func(ports Ports, process int) Ports
