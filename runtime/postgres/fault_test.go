package postgres_test

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/postgres"
)

var (
	words  = runtime.CheckpointKey{Function: "count", TopicPartition: runtime.TopicPartition{Topic: "words"}}
	counts = runtime.StateTable{Name: "word_count"}
)

func batch(at runtime.Checkpoint) *runtime.Commit {
	return &runtime.Commit{CheckpointKey: at.CheckpointKey, Epoch: at.Epoch, From: at.Next, Next: max(at.Next, 0) + 1}
}

func TestServerRestarts(t *testing.T) {
	server := services.NewPostgres(t)
	store := open(t, postgres.Config{URL: server.URL()})
	require.NoError(t, store.Migrate(t.Context(), []runtime.StateTable{counts}))
	at, err := store.Claim(t.Context(), words)
	require.NoError(t, err)
	for _, end := range []func(){server.Stop, server.Kill} {
		// Several connections are in the pool and know their statements.
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() { _, _ = store.Load(t.Context(), counts.Name, []string{"a"}) })
		}
		group.Wait()
		require.NoError(t, store.Commit(t.Context(), batch(at)))
		at.Next = max(at.Next, 0) + 1

		end()
		for name, err := range calls(t.Context(), store, at) {
			require.ErrorIs(t, err, runtime.ErrUnavailable, name)
			require.NotContains(t, err.Error(), "\n")
			t.Log(err)
		}
		server.Start()
		for range 8 {
			require.NoError(t, store.Ping(t.Context()), "dead connections are out of the pool")
		}
		rows, err := store.Checkpoints(t.Context(), "count")
		require.NoError(t, err)
		require.Equal(t, at.Next, rows[0].Next)
	}
}

// calls makes each call of a store that a batch needs.
func calls(ctx context.Context, store *postgres.Store, at runtime.Checkpoint) map[string]error {
	_, claimed := store.Claim(ctx, runtime.CheckpointKey{Function: "other"})
	_, loaded := store.Load(ctx, counts.Name, []string{"a"})
	return map[string]error{
		"Claim": claimed, "Load": loaded, "Commit": store.Commit(ctx, batch(at)), "Ping": store.Ping(ctx),
		"Migrate": store.Migrate(ctx, nil),
		"CommitLocked": store.CommitLocked(ctx, counts.Name, []string{"a"}, func([]runtime.StateRow) (*runtime.Commit, error) {
			return batch(at), nil
		}),
	}
}

func TestStoppedServer(t *testing.T) {
	server := services.NewPostgres(t)
	store := open(t, postgres.Config{URL: server.URL(), Timeout: time.Second})
	require.NoError(t, store.Migrate(t.Context(), []runtime.StateTable{counts}))
	at, err := store.Claim(t.Context(), words)
	require.NoError(t, err)
	require.NoError(t, store.Commit(t.Context(), batch(at)))
	at.Next = 1

	server.Pause()
	require.ErrorIs(t, store.Commit(t.Context(), batch(at)), runtime.ErrUnavailable, "an attempt has an end")
	ctx, cancel := context.WithCancelCause(t.Context())
	committed := make(chan error)
	go func() { committed <- store.Commit(ctx, batch(at)) }()
	cancel(errors.New("drained"))
	require.ErrorIs(t, <-committed, context.Canceled, "and ends with its context")

	server.Continue()
	require.Eventually(t, func() bool { return store.Ping(t.Context()) == nil }, 30*time.Second, 10*time.Millisecond)
	server.Pause()
	require.NoError(t, store.Close(), "closing does not wait for the server")
	server.Continue()
	require.ErrorIs(t, store.Ping(t.Context()), runtime.ErrUnavailable, "closed")
}

func TestTerminatedConnections(t *testing.T) {
	server := services.Postgres(t)
	store := open(t, postgres.Config{URL: server})
	require.NoError(t, store.Migrate(t.Context(), []runtime.StateTable{counts}))
	at, err := store.Claim(t.Context(), words)
	require.NoError(t, err)
	_, err = store.DB().ExecContext(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid()`)
	require.NoError(t, err)
	if err := store.Commit(t.Context(), batch(at)); err != nil {
		require.ErrorIs(t, err, runtime.ErrUnavailable)
	}
	require.NoError(t, store.Ping(t.Context()))
}

// A partition of which two processes believe that it is theirs: the one that holds locks is a process that stopped.
func TestLockIsNotWaitedForLong(t *testing.T) {
	address, err := url.Parse(services.Postgres(t))
	require.NoError(t, err)
	query := address.Query()
	query.Set("lock_timeout", "50")
	address.RawQuery = query.Encode()
	store := open(t, postgres.Config{URL: address.String()})
	require.NoError(t, store.Migrate(t.Context(), []runtime.StateTable{counts}))
	at, err := store.Claim(t.Context(), words)
	require.NoError(t, err)
	tx, err := store.DB().BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), `select from flows_checkpoint for update`)
	require.NoError(t, err)
	require.ErrorIs(t, store.Commit(t.Context(), batch(at)), runtime.ErrUnavailable)
	require.NoError(t, tx.Rollback())
	require.NoError(t, store.Commit(t.Context(), batch(at)))
}

// After a failover an old connection may lead to a server that has become a standby; it must not stay in the pool.
func TestReadOnlyServer(t *testing.T) {
	store := open(t, postgres.Config{URL: services.Postgres(t), MaxConnections: 1})
	require.NoError(t, store.Migrate(t.Context(), []runtime.StateTable{counts}))
	at, err := store.Claim(t.Context(), words)
	require.NoError(t, err)
	execute := func(setting string) {
		_, err := store.DB().ExecContext(t.Context(), `begin read write; do $$ begin
			execute format('alter database %I set default_transaction_read_only = `+setting+`', current_database()); end $$; commit;
			select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
				and '`+setting+`' = 'on'`)
		require.NoError(t, err)
	}
	execute("on")
	if store.Ping(t.Context()) != nil { // the connection that was ended
		require.NoError(t, store.Ping(t.Context()))
	}
	err = store.Commit(t.Context(), batch(at))
	require.ErrorIs(t, err, runtime.ErrUnavailable)
	require.ErrorContains(t, err, "read-only")
	execute("off")
	require.NoError(t, store.Commit(t.Context(), batch(at)), "over another connection")
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	good, err := url.Parse(services.Postgres(t))
	require.NoError(t, err)
	with := func(change func(*url.URL)) string {
		changed := *good
		changed.User = url.UserPassword(good.User.Username(), "secret")
		change(&changed)
		return changed.String()
	}
	for name, test := range map[string]struct {
		url, want string
		again     bool
	}{
		"nothing":       {url: "", want: "no URL"},
		"no URL":        {url: "secret", want: "can't be understood"},
		"port":          {url: "postgres://user:secret@host:port/x", want: "can't be understood"},
		"scheme":        {url: "mysql://user:secret@host/x", want: "can't be understood"},
		"setting":       {url: "postgres://user:secret@host/x?sslmode=maybe", want: "can't be understood"},
		"percent":       {url: "postgres://user:secret%zz@host/x", want: "can't be understood"},
		"no server":     {url: with(func(u *url.URL) { u.Host = "127.0.0.1:1" }), want: "127.0.0.1:1: connection refused", again: true},
		"no host":       {url: with(func(u *url.URL) { u.Host = "nowhere.invalid" }), want: "no such host nowhere.invalid", again: true},
		"no database":   {url: with(func(u *url.URL) { u.Path = "/missing" }), want: `database "missing" does not exist`},
		"no role":       {url: with(func(u *url.URL) { u.User = url.UserPassword("nobody", "secret") }), want: `nobody`},
		"no TLS there":  {url: with(func(u *url.URL) { u.RawQuery = "sslmode=require" }), want: "TLS"},
		"wrong setting": {url: with(func(u *url.URL) { u.RawQuery += "&statement_timeout=soon" }), want: "statement_timeout"},
	} {
		store, err := postgres.Open(t.Context(), postgres.Config{URL: test.url})
		require.Error(t, err, name)
		require.Nil(t, store, name)
		require.ErrorContains(t, err, test.want, name)
		require.NotContains(t, err.Error(), "secret", name)
		require.NotContains(t, err.Error(), "\n", name)
		require.Equal(t, test.again, errors.Is(err, runtime.ErrUnavailable), "%s: %v", name, err)
		t.Log(err)
	}
}

func TestLeastPrivileges(t *testing.T) {
	address := services.Postgres(t)
	owner := open(t, postgres.Config{URL: address})
	role := pgx.Identifier{services.Name(t)}.Sanitize()
	execute := func(statements string) {
		_, err := owner.DB().ExecContext(t.Context(), statements)
		require.NoError(t, err)
	}
	execute(`create role ` + role + ` login password 'secret'`)
	t.Cleanup(func() {
		_, err := owner.DB().ExecContext(context.WithoutCancel(t.Context()), `drop owned by `+role+`; drop role `+role)
		require.NoError(t, err)
	})
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	parsed.User = url.UserPassword(role[1:len(role)-1], "secret")
	store := open(t, postgres.Config{URL: parsed.String()})

	require.ErrorIs(t, store.Migrate(t.Context(), []runtime.StateTable{counts}), runtime.ErrDenied, "may not create")
	require.NoError(t, owner.Migrate(t.Context(), []runtime.StateTable{counts}))
	require.ErrorIs(t, store.Migrate(t.Context(), []runtime.StateTable{counts}), runtime.ErrDenied, "may not look")
	execute(`grant select on flows_migration to ` + role)
	require.NoError(t, store.Migrate(t.Context(), []runtime.StateTable{counts}))

	_, err = store.Claim(t.Context(), words)
	require.ErrorIs(t, err, runtime.ErrDenied)
	require.ErrorContains(t, err, "permission denied for table flows_checkpoint")
	require.NotContains(t, err.Error(), "\n")
	execute(`grant select, insert, update on flows_checkpoint to ` + role)
	at, err := store.Claim(t.Context(), words)
	require.NoError(t, err)

	write := batch(at)
	write.Table = counts.Name
	write.Writes = runtime.StateWrites{Keys: []string{"a"}, States: [][]byte{{1}}, Versions: []int64{1}, Fresh: []bool{true}, FreshRows: 1}
	require.ErrorIs(t, store.Commit(t.Context(), write), runtime.ErrDenied)
	execute(`grant select, insert, update, delete on word_count to ` + role)
	require.NoError(t, store.Commit(t.Context(), write))
}
