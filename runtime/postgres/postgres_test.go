package postgres_test

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/postgres"
	"github.com/kappaflows/flows/runtime/storetest"
)

func TestMain(m *testing.M) {
	if database := os.Getenv(stoppedVariable); database != "" {
		commitAndStop(database)
	}
	goleak.VerifyTestMain(m)
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Connect {
		url := services.Postgres(t)
		return func(t testing.TB) runtime.Store { return open(t, postgres.Config{URL: url, MaxConnections: 2}) }
	})
}

func open(t testing.TB, config postgres.Config) *postgres.Store {
	store, err := postgres.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

func BenchmarkCommit(b *testing.B) {
	storetest.Benchmark(b, open(b, postgres.Config{URL: services.Postgres(b)}))
}

func TestSlotsThatAreLeftAreNotWritten(t *testing.T) {
	store := open(t, postgres.Config{URL: services.NewPostgres(t).URL()})
	require.NoError(t, store.Migrate(t.Context(), nil))
	at, err := store.Claim(t.Context(), words)
	require.NoError(t, err)
	written := func(commit *runtime.Commit) (bytes int64) {
		var before string
		require.NoError(t, store.DB().QueryRowContext(t.Context(), `select pg_current_wal_insert_lsn()`).Scan(&before))
		require.NoError(t, store.Commit(t.Context(), commit))
		require.NoError(t, store.DB().QueryRowContext(t.Context(), `select pg_current_wal_insert_lsn() - ?::pg_lsn`, before).Scan(&bytes))
		at.Next = commit.Next
		return bytes
	}
	const size = 1 << 20
	first := batch(at)
	first.Put[0] = make([]byte, size)
	require.Greater(t, written(first), int64(size), "not compressed, not lost")
	second := batch(at)
	second.Put[1] = []byte("small")
	require.Less(t, written(second), int64(size/4))
}

// A key that no index takes is the message's fault, not that of the batch.
func TestKeyTooLongForTheIndexIsRefused(t *testing.T) {
	store := open(t, postgres.Config{URL: services.Postgres(t)})
	require.NoError(t, store.Migrate(t.Context(), []runtime.StateTable{counts}))
	at, err := store.Claim(t.Context(), words)
	require.NoError(t, err)
	var noise strings.Builder
	for noise.Len() < 3_000 {
		noise.WriteString(rand.Text())
	}
	write := batch(at)
	write.Table = counts.Name
	write.Writes = runtime.StateWrites{
		Keys: []string{noise.String()}, States: [][]byte{{1}}, Versions: []int64{1}, Fresh: []bool{true}, FreshRows: 1,
	}
	err = store.Commit(t.Context(), write)
	require.ErrorIs(t, err, runtime.ErrRefused)
	require.ErrorContains(t, err, "word_count: index row size")
	require.NotContains(t, err.Error(), noise.String()[:20])
	require.NotErrorIs(t, err, runtime.ErrUnavailable)
}

func TestUniqueIndexOfTheUserIsNoConflict(t *testing.T) {
	store := open(t, postgres.Config{URL: services.Postgres(t)})
	require.NoError(t, store.Migrate(t.Context(), []runtime.StateTable{counts}))
	_, err := store.DB().ExecContext(t.Context(), `create unique index one_of_each on word_count (state)`)
	require.NoError(t, err)
	at, err := store.Claim(t.Context(), words)
	require.NoError(t, err)
	write := batch(at)
	write.Table = counts.Name
	write.Writes = runtime.StateWrites{
		Keys: []string{"a", "b"}, States: [][]byte{{1}, {1}}, Versions: []int64{1, 1}, Fresh: []bool{true, true}, FreshRows: 2,
	}
	err = store.Commit(t.Context(), write)
	require.ErrorContains(t, err, "one_of_each")
	require.ErrorIs(t, err, runtime.ErrRefused)
	require.NotErrorIs(t, err, runtime.ErrConflict)
	require.NotErrorIs(t, err, runtime.ErrUnavailable)
}

func TestTableOfSomebodyElse(t *testing.T) {
	store := open(t, postgres.Config{URL: services.Postgres(t)})
	for statement, want := range map[string]string{
		`create table a (id bigint primary key, key text)`:                                                        "column key has no unique index",
		`create table a (key varchar primary key, state bytea, version bigint, updated_at timestamptz)`:           "column key is character varying",
		`create table a (key bytea primary key, state json, version integer, updated_at timestamptz)`:             "column state is json",
		`create view a as select ''::bytea as key, ''::bytea as state, 1::bigint as version, now() as updated_at`: "unique index",
	} {
		_, err := store.DB().ExecContext(t.Context(), `drop schema public cascade; create schema public; `+statement)
		require.NoError(t, err)
		err = store.Migrate(t.Context(), []runtime.StateTable{{Name: "a"}})
		require.ErrorContains(t, err, `table "a" is not a table of states: `)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
	}
}

func TestTableInASchema(t *testing.T) {
	store := open(t, postgres.Config{URL: services.Postgres(t)})
	_, err := store.DB().ExecContext(t.Context(), `create schema "Shop"`)
	require.NoError(t, err)
	table := runtime.StateTable{Name: "Shop.word_count"}
	for range 2 {
		require.NoError(t, store.Migrate(t.Context(), []runtime.StateTable{table}))
	}
	rows, err := store.Load(t.Context(), table.Name, []string{"a"})
	require.NoError(t, err)
	require.Empty(t, rows)
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	store := open(t, postgres.Config{URL: services.Postgres(t)})
	require.NoError(t, store.Migrate(t.Context(), nil))
	_, err := store.DB().ExecContext(t.Context(), `insert into flows_migration (version) values (99)`)
	require.NoError(t, err)
	err = store.Migrate(t.Context(), nil)
	require.ErrorContains(t, err, "newer version")
	require.NotErrorIs(t, err, runtime.ErrUnavailable)
}
