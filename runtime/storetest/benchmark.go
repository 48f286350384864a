package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
)

// Benchmark measures batches of a function that counts: ten thousand keys of a hundred thousand in each batch, with 640 KiB
// of pending outputs. It reports rows a second.
func Benchmark(b *testing.B, store runtime.Store) {
	const keys, rows = 100_000, 10_000
	require.NoError(b, store.Migrate(b.Context(), []runtime.StateTable{textTable}))
	o := claim(b, store, partition("count", "words", 0))
	all := make([]string, keys)
	for i := range all {
		all[i] = fmt.Sprintf("key%06d", i)
	}
	versions := make([]int64, keys)
	random := rand.New(rand.NewPCG(1, 2))
	next := func(chosen []int) *runtime.Commit {
		batch := o.batch()
		batch.Table = textTable.Name
		for _, i := range chosen {
			versions[i]++
			batch.Writes.Keys = append(batch.Writes.Keys, all[i])
			batch.Writes.States = append(batch.Writes.States, fmt.Append(nil, versions[i]))
			batch.Writes.Versions = append(batch.Writes.Versions, versions[i])
			batch.Writes.Fresh = append(batch.Writes.Fresh, versions[i] == 1)
			if versions[i] == 1 {
				batch.Writes.FreshRows++
			}
		}
		batch.Put[o.at.Epoch%runtime.Slots] = make([]byte, 64*rows)
		return batch
	}
	for first := range keys / rows {
		chosen := make([]int, rows)
		for i := range chosen {
			chosen[i] = first*rows + i
		}
		o.commit(b, next(chosen))
	}
	for b.Loop() {
		b.StopTimer()
		chosen := random.Perm(keys)[:rows]
		slices.Sort(chosen)
		batch := next(chosen)
		b.StartTimer()
		o.commit(b, batch)
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
