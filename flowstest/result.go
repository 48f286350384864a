package flowstest

import (
	"context"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/topic"
)

// Records returns what is in a topic, partition by partition; records of one key are in their order. A record that is not of
// the topic's formats fails the test.
func Records[K, V any](a *App, from *topic.Topic[K, V]) (messages []topic.Message[K, V]) {
	a.t.Helper()
	name := from.Spec().Name
	info, err := a.log.Describe(context.Background(), name)
	if err != nil {
		a.t.Fatalf("flowstest: %v", err)
		return nil
	}
	for p := range info.Partitions {
		for _, raw := range a.log.Records(name, p) {
			m, err := from.Decode(&raw, p)
			if err != nil {
				a.t.Fatalf("flowstest: topic %s partition %d offset %d: %v", name, p, raw.Offset, err)
				return nil
			}
			messages = append(messages, m)
		}
	}
	return messages
}

// DeadLetters returns the dead letters of a function; their headers say why.
func (a *App) DeadLetters(function string) []topic.Message[[]byte, []byte] {
	a.t.Helper()
	return Records(a, topic.New(runtime.DeadLetterTopic(function).Name, format.Bytes(), format.Bytes()))
}

// State returns the states in a table, encoded as they are there, by key. A state that is zero is not there.
func (a *App) State(table string) map[string]string {
	states := map[string]string{}
	for key, state := range a.store.Rows(table) {
		states[key] = string(state)
	}
	return states
}

// Rows returns the rows of a table that functions materialise, R being its model, in no order.
func Rows[R any](a *App) []R { return memory.RowsOf[R](a.store) }
