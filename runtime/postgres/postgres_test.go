package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/postgres"
	"github.com/kappaflows/flows/runtime/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
