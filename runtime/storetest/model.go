package storetest

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
)

// model does random things to a store and to the in-memory one, and wants the same answers from both.
func model(t *testing.T, connect Connect) {
	m := modelTest{t: t, store: newStore(t, connect), want: memory.NewStore()}
	require.NoError(t, m.want.Migrate(t.Context(), allTables))
	fewer(t)
	runs := 0
	rapid.Check(t, func(r *rapid.T) {
		runs++
		m.name = fmt.Sprint("run", runs)
		m.epoch, m.next, m.versions = [2]int64{}, [2]int64{}, map[string]int64{}
		r.Repeat(map[string]func(*rapid.T){
			"claim":        m.claim,
			"commit":       m.commit,
			"commitLocked": m.commitLocked,
			"":             m.compare,
		})
	})
}

// fewer makes rapid's checks fewer for a suite that many drivers run, unless the command line says how many.
func fewer(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	if checks == nil || checks.Value.String() != checks.DefValue {
		return
	}
	require.NoError(t, flag.Set("rapid.checks", "30"))
	t.Cleanup(func() { require.NoError(t, flag.Set("rapid.checks", checks.DefValue)) })
}

type modelTest struct {
	t           *testing.T
	store, want runtime.Store
	// name sets one run apart from the others in the same database.
	name string
	// epoch, next and versions are what the test believes, which is right more often than not.
	epoch, next [2]int64
	versions    map[string]int64
}

func (m *modelTest) key(number int) runtime.CheckpointKey {
	return partition(m.name, "words", int32(number))
}

func (m *modelTest) claim(r *rapid.T) {
	number := rapid.IntRange(0, 1).Draw(r, "partition")
	want, err := m.want.Claim(m.t.Context(), m.key(number))
	require.NoError(r, err)
	got, err := m.store.Claim(m.t.Context(), m.key(number))
	require.NoError(r, err)
	requireSameBut(r, want, got)
	m.epoch[number] = want.Epoch
	if want.Fresh {
		m.next[number] = -1
	}
}

// requireSameBut compares checkpoints of two stores, whose clocks differ.
func requireSameBut(r *rapid.T, want, got runtime.Checkpoint) {
	require.Empty(r, gocmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(runtime.Checkpoint{}, "Now", "Updated")))
}

// batch draws a batch that is mostly right.
func (m *modelTest) batch(r *rapid.T) (*runtime.Commit, int) {
	number := rapid.IntRange(0, 1).Draw(r, "partition")
	off := func(label string) int64 {
		return rapid.SampledFrom([]int64{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, 1}).Draw(r, label)
	}
	batch := &runtime.Commit{
		CheckpointKey: m.key(number),
		Epoch:         m.epoch[number] + off("epoch"),
		From:          m.next[number] + off("from"),
		TopicID:       runtime.TopicID{byte(number)},
		Identity:      runtime.Identity{ProducerID: rapid.Int64Min(-1).Draw(r, "producer"), Epoch: rapid.Int16Min(0).Draw(r, "producer epoch")},
		Sequences:     rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(r, "sequences"),
		Table:         textTable.Name,
	}
	batch.Next = max(batch.From+rapid.Int64Range(0, 3).Draw(r, "messages"), 0)
	for slot := range batch.Put {
		if rapid.Bool().Draw(r, "put") {
			batch.Put[slot] = rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(r, "pending")
		}
	}
	var rows []write
	for _, key := range m.keys() {
		version := m.versions[key]
		switch rapid.SampledFrom([]string{"leave", "leave", "write", "write", "delete"}).Draw(r, "row") {
		case "write":
			fresh := (version == 0) != (off("fresh") != 0)
			rows = append(rows, write{key, rapid.StringN(0, 4, 8).Draw(r, "state"), version + 1 + off("version"), fresh})
		case "delete":
			if version > 0 || off("delete") != 0 {
				batch.Deletes.Keys = append(batch.Deletes.Keys, key)
				batch.Deletes.Versions = append(batch.Deletes.Versions, version+off("version"))
			}
		}
	}
	batch.Writes = writes(rows...)
	return batch, number
}

func (m *modelTest) keys() (keys []string) {
	for _, key := range []string{"", "A", "a", "z", "ä"} {
		keys = append(keys, m.name+"/"+key)
	}
	return keys
}

func (m *modelTest) commit(r *rapid.T) {
	batch, number := m.batch(r)
	want := m.want.Commit(m.t.Context(), batch)
	m.done(r, batch, number, want, m.store.Commit(m.t.Context(), batch))
}

func (m *modelTest) commitLocked(r *rapid.T) {
	batch, number := m.batch(r)
	keys := slices.Clone(m.keys())
	slices.Reverse(keys)
	var rows [2][]runtime.StateRow
	var errs [2]error
	for i, store := range []runtime.Store{m.want, m.store} {
		errs[i] = store.CommitLocked(m.t.Context(), textTable.Name, keys, func(found []runtime.StateRow) (*runtime.Commit, error) {
			rows[i] = found
			return batch, nil
		})
	}
	requireSameRows(r, rows[0], rows[1])
	m.done(r, batch, number, errs[0], errs[1])
}

// done compares what became of a batch, and believes it.
func (m *modelTest) done(r *rapid.T, batch *runtime.Commit, number int, want, got error) {
	for _, decision := range []error{runtime.ErrFenced, runtime.ErrConflict} {
		require.Equal(r, errors.Is(want, decision), errors.Is(got, decision), "want %v, got %v", want, got)
	}
	require.Equal(r, want == nil, got == nil, "want %v, got %v", want, got)
	if want != nil {
		return
	}
	m.next[number] = batch.Next
	for i, key := range batch.Writes.Keys {
		m.versions[key] = batch.Writes.Versions[i]
	}
	for _, key := range batch.Deletes.Keys {
		delete(m.versions, key)
	}
}

func (m *modelTest) compare(r *rapid.T) {
	want, err := m.want.Checkpoints(m.t.Context(), m.name)
	require.NoError(r, err)
	got, err := m.store.Checkpoints(m.t.Context(), m.name)
	require.NoError(r, err)
	require.Len(r, got, len(want))
	for i := range want {
		requireSameBut(r, want[i], got[i])
	}
	wantRows, err := m.want.Load(m.t.Context(), textTable.Name, m.keys())
	require.NoError(r, err)
	gotRows, err := m.store.Load(m.t.Context(), textTable.Name, m.keys())
	require.NoError(r, err)
	requireSameRows(r, wantRows, gotRows)
}

func requireSameRows(r *rapid.T, want, got []runtime.StateRow) {
	byKey := cmpopts.SortSlices(func(a, b runtime.StateRow) bool { return a.Key < b.Key })
	require.Empty(r, gocmp.Diff(want, got, byKey, cmpopts.EquateEmpty()))
}
