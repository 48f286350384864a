package postgres

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kappaflows/flows/internal/services"
	"github.com/kappaflows/flows/runtime"
)

type word string

type inner struct {
	Name  string   `json:"name"`
	Parts []string `json:"parts"`
}

// everyRow has columns of all types that are sent as arrays.
type everyRow struct {
	ID       string    `bun:",pk"`
	Number   int32     `bun:",pk"`
	Flag     bool      `bun:",pk"`
	Day      time.Time `bun:",pk"`
	Tiny     int8
	Small    int64 `bun:"type:smallint"`
	Middle   uint32
	Large    uint64
	Single   float32
	Double   float64
	Word     word       `bun:"type:varchar(5)"`
	Amount   string     `bun:"type:numeric(8,2)"`
	Date     string     `bun:"type:date,nullzero"`
	Hex      string     `bun:"type:uuid,nullzero"`
	UUID     uuid.UUID  `bun:"type:uuid"`
	Maybe    *uuid.UUID `bun:"type:uuid"`
	Local    time.Time  `bun:"type:timestamp"`
	Seen     *time.Time
	Zero     time.Time `bun:",nullzero"`
	Count    *int64
	Note     *string
	Bytes    []byte
	Four     [4]byte
	Raw      json.RawMessage
	Text     json.RawMessage `bun:"type:json"`
	Struct   inner
	Pointer  *inner
	List     []int
	Map      map[string]string `bun:"type:jsonb"`
	AsString string            `bun:"type:jsonb"`
}

var paths = map[string]func(*rowTable){
	"arrays":            func(*rowTable) {},
	"bun":               func(t *rowTable) { t.columns = nil },
	"one by one":        func(t *rowTable) { t.inOrder = true },
	"one by one by bun": func(t *rowTable) { t.columns, t.inOrder = nil, true },
}

// pathTest has a store, in a database of its own, for each way of writing rows.
type pathTest struct {
	*testing.T
	stores map[string]*Store
	table  *runtime.RowTable
	at     map[string]runtime.Checkpoint
}

func newPaths(t *testing.T, model reflect.Type) *pathTest {
	p := &pathTest{T: t, stores: map[string]*Store{}, table: &runtime.RowTable{Model: model}, at: map[string]runtime.Checkpoint{}}
	for name, choose := range paths {
		store, err := Open(t.Context(), Config{URL: services.Postgres(t), MaxConnections: 1})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		require.NoError(t, store.Migrate(t.Context(), nil))
		require.NoError(t, store.CreateTables(t.Context(), []*runtime.RowTable{p.table}))
		known := store.rowTables.byModel[model]
		require.NotNil(t, known.columns, "all columns can be sent as arrays")
		require.False(t, known.inOrder)
		choose(known)
		p.stores[name] = store
		p.at[name], err = store.Claim(t.Context(), runtime.CheckpointKey{Function: "rows"})
		require.NoError(t, err)
	}
	return p
}

// commit commits changes in one of the ways, and returns the table as text and the error.
func (p *pathTest) commit(name string, changes []runtime.Change) (table []string, _ error) {
	at := p.at[name]
	err := p.stores[name].Commit(p.Context(), &runtime.Commit{
		CheckpointKey: at.CheckpointKey, Epoch: at.Epoch, From: at.Next, Next: at.Next + 1, Changes: changes,
	})
	if err == nil {
		at.Next++
		p.at[name] = at
	}
	known := p.stores[name].rowTables.byModel[p.table.Model]
	found := p.stores[name].DB().NewRaw(`select t::text from `+string(known.SQLName)+` t order by 1`).Scan(p.Context(), &table)
	require.NoError(p, found)
	return table, err
}

func (p *pathTest) empty() {
	for name, store := range p.stores {
		_, err := store.DB().NewRaw(`delete from ` + string(store.rowTables.byModel[p.table.Model].SQLName)).Exec(p.Context())
		require.NoError(p, err, name)
	}
}

func drawTime(r *rapid.T, label string) time.Time {
	at := rapid.SampledFrom([]time.Time{
		{},
		time.Unix(0, 0), time.Unix(-1, 999_999_999), time.Date(1, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)),
		time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(12345, 1, 2, 3, 4, 5, 6, time.UTC), time.Date(400_000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2024, 3, 31, 1, 30, 0, 123_456_789, time.FixedZone("", -5400)),
	}).Draw(r, label)
	return at
}

func drawText(r *rapid.T, label string) string {
	return rapid.OneOf(rapid.SampledFrom([]string{"", "a", "a ", "'", `\`, `"`, "\x00", "\xff", "null", "ä", "12345678"}), rapid.StringN(0, 5, -1)).Draw(r, label)
}

func pointer[V any](r *rapid.T, value V, label string) *V {
	return rapid.SampledFrom([]*V{nil, &value}).Draw(r, label+" pointer")
}

// drawRow draws a row that is mostly good: bad says which of its columns may be what Postgres refuses.
func drawRow(r *rapid.T) *everyRow {
	row := &everyRow{
		ID: rapid.SampledFrom([]string{"a", "b", "A", "a ", ""}).Draw(r, "id"), Number: rapid.SampledFrom([]int32{-1, 0, 1}).Draw(r, "number"),
		Flag: rapid.Bool().Draw(r, "flag"), Day: rapid.SampledFrom([]time.Time{{}, time.Unix(1, 500), time.Unix(1, 0).In(time.FixedZone("", 60))}).Draw(r, "day"),
		Amount: "1.005", Raw: json.RawMessage(`{"a": 1}`), Four: [4]byte{1},
	}
	// One column at a time is spoilt, for a row that is refused tells little.
	switch rapid.IntRange(0, 26).Draw(r, "column") {
	case 0:
		row.ID = drawText(r, "id")
	case 1:
		row.Tiny = rapid.Int8().Draw(r, "tiny")
	case 2:
		row.Small = rapid.SampledFrom([]int64{math.MinInt16, math.MaxInt16, math.MaxInt16 + 1, math.MinInt64}).Draw(r, "small")
	case 3:
		row.Middle = rapid.Uint32().Draw(r, "middle")
	case 4:
		row.Large = rapid.Uint64().Draw(r, "large")
	case 5:
		row.Single = rapid.OneOf(rapid.Float32(), rapid.SampledFrom([]float32{float32(math.NaN()), float32(math.Inf(-1)), 0.1, math.SmallestNonzeroFloat32})).Draw(r, "single")
		if row.Single == 0 {
			row.Single = float32(math.Copysign(0, -1))
		}
	case 6:
		row.Double = rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Copysign(0, -1), math.SmallestNonzeroFloat64, math.MaxFloat64})).Draw(r, "double")
	case 7:
		row.Word = word(drawText(r, "word"))
	case 8:
		row.Amount = rapid.SampledFrom([]string{"0", "-1", "NaN", "999999.995", "1e3", " 7 ", "", "x", "\x00"}).Draw(r, "amount")
	case 9:
		row.Date = rapid.SampledFrom([]string{"2024-02-30", "2024-02-29", "infinity", "4713-01-01 BC", "now?"}).Draw(r, "date")
	case 10:
		row.Hex = rapid.SampledFrom([]string{
			"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC999C0B4EF8BB6D6BB9BD380A11", "{a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11}",
			"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111",
			"a-0eebc999c0b4ef8bb6d6bb9bd380a11", "g0eebc999c0b4ef8bb6d6bb9bd380a11", "a0eebc999c0b4ef8bb6d6bb9bd380a11-", "-", "\x00",
		}).Draw(r, "hex")
	case 11:
		row.UUID = uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "uuid"))
	case 12:
		row.Maybe = pointer(r, uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "maybe")), "maybe")
	case 13:
		row.Local = drawTime(r, "local")
	case 14:
		row.Seen = pointer(r, drawTime(r, "seen"), "seen")
	case 15:
		row.Zero = drawTime(r, "zero")
	case 16:
		row.Count = pointer(r, rapid.Int64().Draw(r, "count"), "count")
	case 17:
		row.Note = pointer(r, drawText(r, "note"), "note")
	case 18:
		row.Bytes = rapid.OneOf(rapid.Just[[]byte](nil), rapid.SliceOf(rapid.Byte())).Draw(r, "bytes")
	case 19:
		row.Raw = json.RawMessage(rapid.SampledFrom([]string{`null`, `"\u0000"`, `"\\u0000"`, `{`, ``, `"` + "\xff" + `"`, `[1,  2]`}).Draw(r, "raw"))
	case 20:
		row.Raw = nil
	case 21:
		row.Text = json.RawMessage(rapid.SampledFrom([]string{`null`, `"\u0000"`, `{`, ``, `[1,  2]`}).Draw(r, "text"))
	case 22:
		row.Struct = inner{Name: drawText(r, "name"), Parts: rapid.SliceOf(rapid.String()).Draw(r, "parts")}
	case 23:
		row.Pointer = pointer(r, inner{Name: drawText(r, "name")}, "pointer")
	case 24:
		row.List = rapid.SliceOf(rapid.Int()).Draw(r, "list")
	case 25:
		row.Map = rapid.MapOf(rapid.String(), rapid.Just(`\u0000 '`)).Draw(r, "map")
	case 26:
		row.AsString = drawText(r, "as string")
	}
	return row
}

func checks(t *testing.T, number string) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		require.NoError(t, flag.Set("rapid.checks", number))
		t.Cleanup(func() { require.NoError(t, flag.Set("rapid.checks", f.DefValue)) })
	}
}

// However rows are written, the same is in the table, or the same batches are refused.
func TestAllPathsWriteTheSame(t *testing.T) {
	p := newPaths(t, reflect.TypeFor[everyRow]())
	checks(t, "150")
	rapid.Check(t, func(r *rapid.T) {
		p.empty()
		var changes []runtime.Change
		for range rapid.IntRange(1, 5).Draw(r, "changes") {
			kind := rapid.SampledFrom([]runtime.ChangeKind{runtime.Upsert, runtime.Upsert, runtime.Insert, runtime.Delete}).Draw(r, "kind")
			changes = append(changes, runtime.Change{Table: p.table, Kind: kind, Row: drawRow(r)})
		}
		want, err := p.commit("bun", changes)
		got, other := p.commit("arrays", changes)
		require.Equal(r, errors.Is(err, runtime.ErrRefused), errors.Is(other, runtime.ErrRefused), "bun: %v, arrays: %v", err, other)
		require.Equal(r, err == nil, other == nil, "bun: %v, arrays: %v", err, other)
		require.Equal(r, want, got)
		byBun, err := p.commit("one by one by bun", changes)
		single, other := p.commit("one by one", changes)
		require.Equal(r, err == nil, other == nil, "bun: %v, arrays: %v", err, other)
		require.Equal(r, byBun, single)
		if other == nil { // Else a row may be bad that the others did not write.
			require.Equal(r, want, single)
		}
	})
}

// uniqueRow has a value that only one row may have.
type uniqueRow struct {
	ID   int    `bun:",pk"`
	Name string `bun:",unique"`
}

// A batch whose changes can be made one after the other can be made, and comes to the same.
func TestNetEffectOfChanges(t *testing.T) {
	p := newPaths(t, reflect.TypeFor[uniqueRow]())
	checks(t, "300")
	failed := 0
	rapid.Check(t, func(r *rapid.T) {
		p.empty()
		for range 3 {
			var changes []runtime.Change
			for range rapid.IntRange(1, 8).Draw(r, "changes") {
				kind := rapid.SampledFrom([]runtime.ChangeKind{runtime.Upsert, runtime.Upsert, runtime.Insert, runtime.Delete}).Draw(r, "kind")
				row := &uniqueRow{rapid.IntRange(0, 4).Draw(r, "id"), fmt.Sprint(rapid.IntRange(0, 6).Draw(r, "name"))}
				changes = append(changes, runtime.Change{Table: p.table, Kind: kind, Row: row})
			}
			want, err := p.commit("one by one", changes)
			got, other := p.commit("arrays", changes)
			if err != nil {
				failed++
				require.ErrorIs(r, err, runtime.ErrRefused)
				if other == nil {
					break // What was wrong is gone at the end of the batch.
				}
				require.ErrorIs(r, other, runtime.ErrRefused)
			} else {
				require.NoError(r, other)
			}
			require.Equal(r, want, got)
		}
	})
	require.NotZero(t, failed)
}
