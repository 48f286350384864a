// Package simulation looks for ways to break the engine: it runs an app in several processes over a log and a store in
// memory, in virtual time, while processes crash, pause and come back, answers get lost, brokers forget, and groups
// rebalance, as one seed decides. Afterwards every input must have been applied exactly once. What fails is made smaller
// and told as a story.
//
// It is for the project's own tests. Programs test their functions with flowstest.
//
// # How a run is the same each time
//
// Goroutines run in an order that nobody decides, so nothing may depend on it. Whatever one process does that others can
// notice, it does through a call of its log or its store, and each call is made, and answered, at a moment of virtual
// time at which nothing else happens. Time is divided into ticks of a millisecond. Each place in the engine that calls
// one thing after the other (see lane) has a moment of its own in every tick, a whole number of nanoseconds that no
// other place has; a call waits for it. All waits of the engine are whole ticks, so that what a call sets off stays at the
// moment of its place. So at one moment only one call has an effect, and what its caller makes of the answer, in
// however many goroutines, has no effect before other moments.
//
// What else would be left to chance is taken from it: the engine gets its random numbers from the seed and the moment, and
// nothing that iterates over a map decides an order.
//
// # How a run is made smaller
//
// What happens in a run is a schedule: events, each with its time, lines that are put in, and faults, each of one call of
// one place. Leaving some out gives another schedule, and a run of it. shrink leaves out what it can while the check
// still fails. It is not pgregory.net/rapid's shrinking, since rapid makes smaller what a generator draws before or
// while a test runs, by position: faults are not drawn beforehand, they come of the calls that a run makes, and leaving out
// one draw would give all later ones another meaning. Here what stays keeps its place. Nor are its seeds ours: a number
// names the same run as long as this package stays as it is.
package simulation
