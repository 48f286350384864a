// Package memory holds the ports of the engine in memory: a Log and a Store for tests, which fail when they are told
// to. Nothing of it outlives the process, and it is not made for speed.
package memory
