package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/sqlite"
	"github.com/kappaflows/flows/runtime/storetest"
)

func TestRowStore(t *testing.T) {
	storetest.RunRows(t, func(t *testing.T) storetest.Connect {
		path := filepath.Join(t.TempDir(), "flows.db")
		return func(t testing.TB) runtime.Store { return open(t, path) }
	}, storetest.Rows{Database: true, Select: func(ctx context.Context, store runtime.Store, rows any) error {
		return store.(*sqlite.Store).DB().NewSelect().Model(rows).Scan(ctx)
	}})
}
