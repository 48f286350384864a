package storetest

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
)

// Rows says what the suite of runtime.RowStore needs to know of a driver.
type Rows struct {
	// Select reads all rows of a model in any order; rows is a pointer to a slice of it.
	Select func(ctx context.Context, store runtime.Store, rows any) error
	// Database says that there is a database that knows constraints and types. Without, only a second row with a
	// primary key is refused.
	Database bool
}

// RunRows runs the suite of a driver that is a runtime.RowStore, beside Run.
func RunRows(t *testing.T, database func(t *testing.T) Connect, driver Rows) {
	tests := []rowTest{
		{"upsert, insert, delete", rowLifecycle},
		{"in order", rowsInOrder},
		{"a second insert is refused", rowsInsertedTwice},
		{"several tables in one commit", rowsOfTables},
		{"values", rowValues},
		{"composite keys", rowPairs},
		{"ten thousand rows", rowsMany},
		{"no such table", rowsNoTable},
		{"the fence goes before a bad row", rowsFenced},
		{"two partitions write the same rows", rowsConcurrently},
		{"same as the in-memory store", rowModel},
	}
	if driver.Database {
		tests = append(
			tests,
			rowTest{"constraints", rowConstraints},
			rowTest{"what a database can't hold", rowsImpossible},
			rowTest{"a value goes from one row to another", rowsExchange},
			rowTest{"documents", rowDocuments},
			rowTest{"zero is null", rowNullZero},
			rowTest{"models that bun writes", rowsByBun},
			rowTest{"defaults", rowDefaults},
			rowTest{"rows that are marked", rowsMarked},
			rowTest{"models and tables that do not fit", rowTablesThatDoNotFit},
		)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(newRows(t, database(t), driver)) })
	}
}

type rowTest struct {
	name string
	run  func(*rowSuite)
}

// The models of the suite.
type (
	plainRow struct {
		ID     string `bun:",pk"`
		Number int64
		Small  int16
		Flag   bool
		Real   float64
		Text   string
		Note   *string
		Data   []byte
		At     time.Time
	}
	pairRow struct {
		Page  string `bun:",pk"`
		Day   int32  `bun:",pk"`
		Count int
	}
	// strictRow has constraints: a unique name, an amount that is not negative.
	strictRow struct {
		ID     int64   `bun:",pk"`
		Name   string  `bun:",unique,notnull"`
		Note   *string `bun:",notnull"`
		Amount int64   `bun:"amount,type:bigint check (amount >= 0)"`
	}
	documentRow struct {
		ID       string `bun:",pk"`
		Document document
		Tags     []string          `bun:"type:json"`
		More     map[string]string `bun:"type:json"`
	}
	document struct {
		Name  string    `json:"name"`
		Parts []float64 `json:"parts"`
	}
	zeroRow struct {
		ID    string    `bun:",pk"`
		Count int       `bun:",nullzero"`
		Name  string    `bun:",nullzero"`
		At    time.Time `bun:",nullzero"`
	}
)

func table[R any]() *runtime.RowTable { return &runtime.RowTable{Model: reflect.TypeFor[R]()} }

// rowTables are the tables of the models.
var rowTables = map[reflect.Type]*runtime.RowTable{
	reflect.TypeFor[plainRow]():    table[plainRow](),
	reflect.TypeFor[pairRow]():     table[pairRow](),
	reflect.TypeFor[strictRow]():   table[strictRow](),
	reflect.TypeFor[documentRow](): table[documentRow](),
	reflect.TypeFor[zeroRow]():     table[zeroRow](),
	reflect.TypeFor[hookedRow]():   table[hookedRow](),
	reflect.TypeFor[valuedRow]():   table[valuedRow](),
	reflect.TypeFor[defaultRow]():  table[defaultRow](),
	reflect.TypeFor[markedRow]():   table[markedRow](),
}

func change[R any](kind runtime.ChangeKind, rows ...R) (changes []runtime.Change) {
	for _, row := range rows {
		changes = append(changes, runtime.Change{Table: rowTables[reflect.TypeFor[R]()], Kind: kind, Row: &row})
	}
	return changes
}

func upsert[R any](rows ...R) []runtime.Change { return change(runtime.Upsert, rows...) }
func insert[R any](rows ...R) []runtime.Change { return change(runtime.Insert, rows...) }
func remove[R any](rows ...R) []runtime.Change { return change(runtime.Delete, rows...) }

// rowSuite is one test with a store that has the suite's tables.
type rowSuite struct {
	*testing.T
	driver  Rows
	connect Connect
	store   runtime.Store
	owner   *owner
}

func newRows(t *testing.T, connect Connect, driver Rows) *rowSuite {
	s := &rowSuite{T: t, driver: driver, connect: connect, store: newStore(t, connect)}
	tables := []*runtime.RowTable{}
	for _, table := range rowTables {
		tables = append(tables, table)
	}
	for range 2 {
		require.NoError(t, s.store.(runtime.RowStore).CreateTables(t.Context(), tables))
	}
	s.owner = claim(t, s.store, partition("rows", "words", 0))
	return s
}

// batch is the next batch with changes.
func (s *rowSuite) batch(changes ...[]runtime.Change) *runtime.Commit {
	batch := s.owner.batch()
	batch.Changes = slices.Concat(changes...)
	return batch
}

// commit commits a batch with changes.
func (s *rowSuite) commit(changes ...[]runtime.Change) {
	s.Helper()
	s.owner.commit(s, s.batch(changes...))
}

// refused commits a batch with changes that the database refuses, and a state beside them, and checks that nothing of it is
// left behind. It returns what the store says.
func (s *rowSuite) refused(changes ...[]runtime.Change) string {
	s.Helper()
	before := checkpoint(s, s.store, s.owner.at.CheckpointKey)
	batch := s.batch(changes...)
	batch.Put[1] = []byte("pending")
	batch.Table, batch.Writes = textTable.Name, writes(write{"state", "1", 1, true})
	err := s.store.Commit(s.Context(), batch)
	require.ErrorIs(s, err, runtime.ErrRefused)
	require.NotErrorIs(s, err, runtime.ErrUnavailable)
	require.NotContains(s, err.Error(), "\n")
	requireSame(s.T, before, checkpoint(s, s.store, s.owner.at.CheckpointKey))
	require.Empty(s, load(s, s.store, textTable, "state"))
	return err.Error()
}

// want checks what is in the table of a model.
func want[R any](s *rowSuite, rows ...R) {
	s.Helper()
	require.Empty(s, gocmp.Diff(sorted(rows), selectRows[R](s)))
}

func selectRows[R any](s *rowSuite) []R {
	s.Helper()
	found := []R{}
	require.NoError(s, s.driver.Select(s.Context(), s.store, &found))
	return sorted(found)
}

// sorted returns rows in the order of their columns as text.
func sorted[R any](rows []R) []R {
	return slices.SortedFunc(slices.Values(rows), func(a, b R) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
}

func rowsConcurrently(s *rowSuite) {
	const partitions, batches, keys = 2, 40, 60
	var group sync.WaitGroup
	for p := range partitions {
		o := claim(s, s.connect(s), partition("rows", "shared", int32(p)))
		group.Go(func() {
			for n := range batches {
				batch := o.batch()
				for i := range keys {
					// One goes up, the other down, so that rows locked in the order of the changes would be a deadlock.
					day := int32(i)
					if p == 1 {
						day = int32(keys - i)
					}
					batch.Changes = append(batch.Changes, upsert(pairRow{Page: "shared", Day: day, Count: n})...)
				}
				if err := o.store.Commit(s.Context(), batch); err != nil {
					s.Errorf("partition %d, batch %d: %v", p, n, err)
					return
				}
				o.at.Next = batch.Next
			}
		})
	}
	group.Wait()
	require.Len(s, selectRows[pairRow](s), keys+1)
}

func rowsNoTable(s *rowSuite) {
	type absentRow struct {
		ID int64 `bun:",pk"`
	}
	batch := s.batch([]runtime.Change{{Table: table[absentRow](), Row: &absentRow{ID: 1}}})
	err := s.store.Commit(s.Context(), batch)
	require.Error(s, err)
	for _, decision := range []error{runtime.ErrRefused, runtime.ErrUnavailable, runtime.ErrFenced, runtime.ErrConflict} {
		require.NotErrorIs(s, err, decision)
	}
	s.commit()
}

func rowsFenced(s *rowSuite) {
	s.commit(insert(pairRow{Page: "a"}))
	batch := s.batch(insert(pairRow{Page: "a"}))
	batch.Epoch--
	require.ErrorIs(s, s.store.Commit(s.Context(), batch), runtime.ErrFenced)
}

func rowTablesThatDoNotFit(s *rowSuite) {
	type noKey struct{ Name string }
	for model, message := range map[reflect.Type]string{
		reflect.TypeFor[int]():      "int is no model of a row: it is no struct",
		reflect.TypeFor[noKey]():    "storetest.noKey is no model of a row: it has no primary key",
		reflect.TypeFor[morePair](): "the model storetest.morePair does not fit the table \"pair_rows\", which has no column more",
	} {
		err := s.store.(runtime.RowStore).CreateTables(s.Context(), []*runtime.RowTable{{Model: model}})
		require.ErrorContains(s, err, message)
		require.NotErrorIs(s, err, runtime.ErrUnavailable)
	}
}

// morePair is a model of the table of pairRow with one more column.
type morePair struct {
	pairRow `bun:",extend"`
	More    string
}

func text(length int) string { return strings.Repeat("x", length) }
