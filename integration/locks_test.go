package integration

import (
	"context"
	"net/url"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// written are tables that functions write, with the function and a column that says nothing of its own.
var written = []struct{ function, table, column string }{
	{"count", "word_count", "updated_at"},
	{"stock", "stock", "updated_at"},
	{"sell", "sales", "updated_at"},
	{"keep", "products", "cents"},
	{"tables", "orders", "customer"},
}

// session calls do with a session of the administrator in the programs' database, and ends it.
func (c *cluster) session(do func(context.Context, *pgx.Conn)) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	connection, err := pgx.Connect(ctx, c.oracle.database)
	require.NoError(c.t, err)
	defer connection.Close(ctx)
	do(ctx, connection)
}

// execute runs statements of which each must succeed.
func (c *cluster) execute(ctx context.Context, connection *pgx.Conn, statements ...string) {
	c.t.Helper()
	for _, statement := range statements {
		_, err := connection.Exec(ctx, statement)
		require.NoError(c.t, err, statement)
	}
}

// deadlock takes the locks of a commit in the opposite order: first the states or rows, and once commits wait for those,
// the checkpoint of one. It leaves it to that commit to find out, which it does after a second.
func deadlock(c *cluster) {
	const enough, most = 3, 20
	seen := c.more(logged(isDeadlock))
	for n := 0; n < enough || n < most && !seen(); n++ {
		of := written[c.random.IntN(len(written))]
		c.session(func(ctx context.Context, connection *pgx.Conn) {
			c.execute(ctx, connection, "set deadlock_timeout = '1min'", "begin", "select from "+of.table+" for update")
			c.awaitBlocked(connection.PgConn().PID())
			rows, err := connection.Query(ctx, heldCheckpoints, of.function)
			require.NoError(c.t, err)
			held, err := pgx.CollectRows(rows, pgx.RowTo[int32])
			require.NoError(c.t, err)
			if len(held) > 0 {
				_, err = connection.Exec(ctx, "select from flows_checkpoint where function = $1 and partition = $2 for update", of.function, held[0])
				require.NoError(c.t, err)
			}
			c.execute(ctx, connection, "rollback")
		})
	}
}

// heldCheckpoints are the partitions whose checkpoints somebody has locked.
const heldCheckpoints = `with free as (select partition from flows_checkpoint where function = $1 for update skip locked)
	select partition from flows_checkpoint where function = $1 and partition not in (select partition from free)`

// awaitBlocked waits until somebody waits for a session, and not for long where nobody does.
func (c *cluster) awaitBlocked(pid uint32) {
	c.t.Helper()
	c.session(func(ctx context.Context, connection *pgx.Conn) {
		blocked := false
		for deadline := time.Now().Add(5 * time.Second); !blocked && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			err := connection.QueryRow(ctx, "select exists (select from pg_stat_activity where $1::int = any(pg_blocking_pids(pid)))", pid).Scan(&blocked)
			require.NoError(c.t, err)
		}
	})
}

// holdLocks keeps commits waiting for longer than they do.
func holdLocks(c *cluster) {
	of, seen := written[c.random.IntN(len(written))], c.more(logged(isHeld))
	c.session(func(ctx context.Context, connection *pgx.Conn) {
		c.execute(ctx, connection, "begin", "select from "+of.table+" for update")
		c.wait(lockTimeout+time.Second, lockTimeout+3*time.Second)
		c.until(seen)
		c.execute(ctx, connection, "rollback")
	})
}

// lockTimeout is how long a commit waits for a lock.
const lockTimeout = 10 * time.Second

// serialize has the programs run under an isolation under which whoever waited for another's write has to begin again,
// and writes what they write. The programs ask for another isolation themselves unless their URL does.
func serialize(c *cluster) {
	level := []string{"repeatable read", "serializable"}[c.random.IntN(2)]
	usual := c.env
	address, err := url.Parse(c.oracle.database)
	require.NoError(c.t, err)
	address.RawQuery += "&default_transaction_isolation=" + url.PathEscape(level)
	address.Host = c.toDatabase.Addr()
	c.env = append(slices.Clip(usual), "POSTGRES_URL="+address.String())
	restartAll(c)
	c.awaitProgress()
	const enough, most = 20, 400
	seen := c.more(logged(isNotSerial))
	c.session(func(ctx context.Context, connection *pgx.Conn) {
		// It is left to the commits to find out about deadlocks, too.
		c.execute(ctx, connection, "set deadlock_timeout = '1min'")
		for n := 0; n < enough || n < most && !seen(); n++ {
			of := written[c.random.IntN(len(written))]
			c.execute(ctx, connection, "begin", "update "+of.table+" set "+of.column+" = "+of.column)
			c.wait(0, 100*time.Millisecond)
			c.execute(ctx, connection, "commit")
		}
	})
	c.env = usual
	restartAll(c)
}
