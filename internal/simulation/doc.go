// Package simulation looks for ways to break the engine: it runs an app in several processes over a log and a store in
// memory, in virtual time, while processes crash, pause and come back, answers get lost, brokers forget, and groups
// rebalance, as one seed decides. Afterwards every input must have been applied exactly once.
//
// It is for the project's own tests. Programs test their functions with flowstest.
package simulation
