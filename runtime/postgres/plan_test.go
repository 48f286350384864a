package postgres

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime"
)

// A plan is made once for each connection, perhaps when the table is still empty. It must be one for a large table.
func TestPlansGoThroughTheIndex(t *testing.T) {
	store, err := Open(t.Context(), Config{URL: services.Postgres(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	for _, key := range []format.Kind{format.Text, format.Binary} {
		table := newStateTable(runtime.StateTable{Name: "state_" + keyType(key), Key: key})
		require.NoError(t, store.Migrate(t.Context(), []runtime.StateTable{table.StateTable}))
		for statement, params := range map[string]string{
			table.load: "null", table.lock: "null", table.update: "null, null, null, null", table.delete: "null, null, null",
		} {
			require.NoError(t, store.with(t.Context(), "explain", func(ctx context.Context, conn *pgx.Conn) error {
				results, err := conn.PgConn().Exec(ctx, "prepare planned as "+statement+"; explain execute planned("+params+"); deallocate planned").ReadAll()
				if err != nil {
					return err
				}
				var plan strings.Builder
				for _, row := range results[1].Rows {
					plan.Write(row[0])
					plan.WriteByte('\n')
				}
				require.Contains(t, plan.String(), table.Name+"_pkey", statement)
				require.NotContains(t, plan.String(), "Seq Scan", statement)
				return nil
			}))
		}
	}
}
