package postgres_test

import (
	"context"
	"testing"

	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/postgres"
	"github.com/kappaflows/flows/runtime/storetest"
)

func TestRowStore(t *testing.T) {
	storetest.RunRows(t, func(t *testing.T) storetest.Connect {
		url := services.Postgres(t)
		return func(t testing.TB) runtime.Store { return open(t, postgres.Config{URL: url, MaxConnections: 2}) }
	}, storetest.Rows{Database: true, Select: func(ctx context.Context, store runtime.Store, rows any) error {
		return store.(*postgres.Store).DB().NewSelect().Model(rows).Scan(ctx)
	}})
}
