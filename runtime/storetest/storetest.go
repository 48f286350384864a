// Package storetest is the suite that every driver of runtime.Store passes, sentence by sentence of the port's
// contract. It is for drivers' tests, not for users'.
package storetest

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
)

// Connect opens one more store on the same database, which is closed by the test's Cleanup. A driver whose database
// is the store itself may return the same one each time.
type Connect func(t testing.TB) runtime.Store

// Run runs the suite. database makes a new, empty database for each test and returns how to connect to it.
func Run(t *testing.T, database func(t *testing.T) Connect) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, connect Connect)
	}{
		{"Migrate/again changes nothing", migrateAgain},
		{"Migrate/many at once", migrateConcurrently},
		{"Migrate/other columns", migrateOtherColumns},
		{"Migrate/names", migrateNames},
		{"Claim/fresh", claimFresh},
		{"Claim/raises the epoch and returns the row", claimAgain},
		{"Claim/rows are apart", claimApart},
		{"Claim/many at once", claimConcurrently},
		{"Checkpoints/lists without claiming", listCheckpoints},
		{"Commit/fence", commitFenced},
		{"Commit/first offset", commitFirst},
		{"Commit/only the position", commitPosition},
		{"Commit/pending slots", commitSlots},
		{"Commit/large pending", commitLargePending},
		{"Commit/the fence goes before a conflict", commitFencedAndConflicting},
		{"States/insert, replace, delete", stateLifecycle},
		{"States/conflicts leave everything as it was", stateConflicts},
		{"States/a row that came back", stateCameBack},
		{"States/binary keys", stateBinaryKeys},
		{"States/text keys", stateTextKeys},
		{"States/documents", stateDocuments},
		{"States/bytes", stateBytes},
		{"States/what a database can't hold", stateRefused},
		{"States/ten thousand rows", stateMany},
		{"States/no such table", stateNoTable},
		{"CommitLocked/computes on what is there", lockedComputes},
		{"CommitLocked/error of compute", lockedError},
		{"CommitLocked/fence and conflict", lockedRefused},
		{"CommitLocked/others wait", lockedWaits},
		{"Reset/to the beginning", resetAll},
		{"Reset/keeps what it is told to", resetKeeps},
		{"Reset/no such table", resetNoTable},
		{"List/in order, by prefix, in pages", listStates},
		{"Concurrent/counters", concurrentCounters},
		{"Keys/one request a key", keysRemember},
		{"Keys/finished", keysFinish},
		{"Keys/sent as another", keysRenew},
		{"Keys/expire", keysExpire},
		{"Keys/many at once", keysConcurrently},
		{"Context/done", contextDone},
		{"Model/same as the in-memory store", model},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, database(t)) })
	}
}

// The tables of the suite.
var (
	textTable     = runtime.StateTable{Name: "text_state", Key: format.Text, State: format.Binary}
	binaryTable   = runtime.StateTable{Name: "Binary_State", Key: format.Binary, State: format.Binary}
	documentTable = runtime.StateTable{Name: "document_state", Key: format.Text, State: format.Document}
	allTables     = []runtime.StateTable{textTable, binaryTable, documentTable}
)

func partition(function, topic string, number int32) runtime.CheckpointKey {
	return runtime.CheckpointKey{Function: function, TopicPartition: runtime.TopicPartition{Topic: topic, Partition: number}}
}

// owner is a partition's owner as the engine is one: it knows the epoch and the position.
type owner struct {
	store runtime.Store
	at    runtime.Checkpoint
}

// newStore connects and migrates the suite's tables.
func newStore(t *testing.T, connect Connect) runtime.Store {
	store := connect(t)
	require.NoError(t, store.Migrate(t.Context(), allTables))
	return store
}

// claim claims a partition, and says where it begins where nobody did before: at the offset 0.
func claim(t testing.TB, store runtime.Store, key runtime.CheckpointKey) *owner {
	at, err := store.Claim(t.Context(), key)
	require.NoError(t, err)
	o := &owner{store: store, at: at}
	if at.Fresh {
		require.NoError(t, store.Commit(t.Context(), o.beginning(0)))
		o.at = checkpoint(t, store, key)
	}
	return o
}

// beginning is the commit that says where a partition begins.
func (o *owner) beginning(at int64) *runtime.Commit {
	return &runtime.Commit{CheckpointKey: o.at.CheckpointKey, Epoch: o.at.Epoch, From: at, Next: at, Identity: o.at.Identity}
}

// batch is the next batch of an owner, of one offset, without states.
func (o *owner) batch() *runtime.Commit {
	from := max(o.at.Next, 0)
	return &runtime.Commit{
		CheckpointKey: o.at.CheckpointKey,
		Epoch:         o.at.Epoch,
		From:          from,
		Next:          from + 1,
		TopicID:       runtime.TopicID{1, 2, 3},
		Identity:      runtime.Identity{ProducerID: 1 << 40, Epoch: 32767},
		Sequences:     []byte{0, 1, 255},
	}
}

// commit commits a batch and moves on.
func (o *owner) commit(t testing.TB, batch *runtime.Commit) {
	require.NoError(t, o.store.Commit(t.Context(), batch))
	o.at.Next = batch.Next
}

// write is one row of StateWrites.
type write struct {
	key     string
	state   string
	version int64
	fresh   bool
}

func (o *owner) writing(table runtime.StateTable, rows ...write) *runtime.Commit {
	batch := o.batch()
	batch.Table = table.Name
	batch.Writes = writes(rows...)
	return batch
}

func writes(rows ...write) (w runtime.StateWrites) {
	slices.SortFunc(rows, func(a, b write) int { return cmp.Compare(a.key, b.key) })
	for _, row := range rows {
		w.Keys = append(w.Keys, row.key)
		w.States = append(w.States, []byte(row.state))
		w.Versions = append(w.Versions, row.version)
		w.Fresh = append(w.Fresh, row.fresh)
		if row.fresh {
			w.FreshRows++
		}
	}
	return w
}

// load returns the rows of keys by key.
func load(t testing.TB, store runtime.Store, table runtime.StateTable, keys ...string) map[string]runtime.StateRow {
	rows, err := store.Load(t.Context(), table.Name, keys)
	require.NoError(t, err)
	found := map[string]runtime.StateRow{}
	for _, row := range rows {
		found[row.Key] = row
	}
	require.Len(t, found, len(rows), "one row a key")
	return found
}

func checkpoint(t testing.TB, store runtime.Store, key runtime.CheckpointKey) runtime.Checkpoint {
	rows, err := store.Checkpoints(t.Context(), key.Function)
	require.NoError(t, err)
	for _, row := range rows {
		if row.CheckpointKey == key {
			return row
		}
	}
	require.Fail(t, "no checkpoint", "%v", key)
	return runtime.Checkpoint{}
}

// sameRow compares checkpoints but for the clock, with nil and empty bytes the same.
var sameRow = gocmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreFields(runtime.Checkpoint{}, "Now")}
