// Package runtime is the engine: it reads partitions, runs functions over them in batches, and makes states and outputs
// exactly once through a Log and a Store.
//
// It knows these two ports and a Clock, and no client of any broker or database: drivers live in packages below this
// one. Users meet it in Options and in errors; the packages stateless, stateful and so on make its Functions.
package runtime
