package postgres_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/postgres"
)

type benchRow struct {
	ID       int64 `bun:",pk"`
	Customer string
	Amount   int64
	Paid     bool
	At       time.Time
}

func benchRowOf(i int) benchRow {
	return benchRow{int64(i), fmt.Sprint("customer ", i%1000), int64(i) * 100, i%2 == 0, time.Unix(1_700_000_000+int64(i), 0)}
}

// BenchmarkRows measures rows of five columns, ten thousand in a batch, beside COPY of the same rows by psql.
func BenchmarkRows(b *testing.B) {
	const rows, batches = 10_000, 20
	url := services.Postgres(b)
	store := open(b, postgres.Config{URL: url, MaxConnections: 1})
	table := &runtime.RowTable{Model: reflect.TypeFor[benchRow]()}
	require.NoError(b, store.Migrate(b.Context(), nil))
	require.NoError(b, store.CreateTables(b.Context(), []*runtime.RowTable{table}))
	at, err := store.Claim(b.Context(), words)
	require.NoError(b, err)
	commits := make([]*runtime.Commit, batches)
	for n := range commits {
		commits[n] = batch(at)
		commits[n].Changes = make([]runtime.Change, rows)
		for i := range rows {
			row := benchRowOf(n*rows + i*7919%rows)
			commits[n].Changes[i] = runtime.Change{Table: table, Row: &row}
		}
	}
	all := func(b *testing.B, kind runtime.ChangeKind) {
		for _, commit := range commits {
			b.StopTimer()
			for i := range commit.Changes {
				commit.Changes[i].Kind = kind
			}
			commit.From, commit.Next = max(at.Next, 0), max(at.Next, 0)+1
			at.Next = commit.Next
			b.StartTimer()
			require.NoError(b, store.Commit(b.Context(), commit))
		}
	}
	measure := func(name string, empty bool, do func(*testing.B)) {
		b.Run(name, func(b *testing.B) {
			b.StopTimer()
			for range b.N {
				if empty {
					_, err := store.DB().ExecContext(b.Context(), `truncate bench_rows`)
					require.NoError(b, err)
				}
				b.StartTimer()
				do(b)
				b.StopTimer()
			}
			b.ReportMetric(float64(rows*batches*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
	measure("insert", true, func(b *testing.B) { all(b, runtime.Insert) })
	measure("upsert new", true, func(b *testing.B) { all(b, runtime.Upsert) })
	measure("upsert there", false, func(b *testing.B) { all(b, runtime.Upsert) })
	if psql, err := exec.LookPath("psql"); err != nil {
		b.Log("no psql on this machine: nothing to compare with")
	} else {
		file := benchFile(b, rows*batches)
		measure("copy by psql", true, func(b *testing.B) {
			output, err := exec.CommandContext(b.Context(), psql, url, "-qc", `\copy bench_rows from '`+file+`'`).CombinedOutput()
			require.NoError(b, err, string(output))
		})
	}
}

func benchFile(b *testing.B, rows int) string {
	path := filepath.Join(b.TempDir(), "rows")
	file, err := os.Create(path)
	require.NoError(b, err)
	defer func() { require.NoError(b, file.Close()) }()
	buffer := bufio.NewWriter(file)
	for i := range rows {
		row := benchRowOf(i)
		fmt.Fprintf(buffer, "%d\t%s\t%d\t%t\t%s\n", row.ID, row.Customer, row.Amount, row.Paid, row.At.UTC().Format(time.RFC3339))
	}
	require.NoError(b, buffer.Flush())
	return path
}
