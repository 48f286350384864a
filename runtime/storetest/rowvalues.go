package storetest

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
)

func rowLifecycle(s *rowSuite) {
	want[pairRow](s)
	a, b, c := pairRow{"a", 1, 1}, pairRow{"b", 1, 1}, pairRow{"c", 1, 1}
	s.commit(upsert(a), insert(b, c))
	want(s, a, b, c)
	a.Count, b.Count = 2, 2
	s.commit(upsert(a, b), remove(pairRow{Page: "c", Day: 1}))
	want(s, a, b)
	s.commit(remove(a, b, c))
	want[pairRow](s)
}

func rowsInOrder(s *rowSuite) {
	row := func(page string, count int) pairRow { return pairRow{page, 1, count} }
	s.commit(insert(row("there", 1), row("gone", 1), row("again", 1), row("swapped", 1)))
	s.commit(
		upsert(row("there", 2), row("there", 3)),
		upsert(row("gone", 2)), remove(row("gone", 0)),
		remove(row("again", 0)), insert(row("again", 2)), upsert(row("again", 3)),
		remove(row("swapped", 0)), remove(row("swapped", 0)), upsert(row("swapped", 2)),
		insert(row("new", 1)), upsert(row("new", 2)),
		insert(row("short", 1)), remove(row("short", 0)),
		insert(row("back", 1)), remove(row("back", 0)), insert(row("back", 2)), remove(row("back", 0)), insert(row("back", 3)),
		upsert(row("over", 1)), remove(row("over", 0)), insert(row("over", 2)), remove(row("over", 0)),
	)
	want(s, row("there", 3), row("again", 3), row("swapped", 2), row("new", 2), row("back", 3))
}

func rowsInsertedTwice(s *rowSuite) {
	row := func(page string, count int) pairRow { return pairRow{page, 1, count} }
	s.commit(insert(row("there", 1)))
	good := upsert(row("good", 1))
	for _, changes := range [][][]runtime.Change{
		{insert(row("there", 2))},
		{insert(row("there", 2)), upsert(row("there", 3))},
		{insert(row("there", 2)), remove(row("there", 0))},
		{insert(row("there", 2)), remove(row("there", 0)), insert(row("there", 3))},
		{upsert(row("there", 2)), insert(row("there", 3))},
		{insert(row("new", 1), row("new", 2))},
		{insert(row("new", 1), row("new", 1)), remove(row("new", 0))},
		{upsert(row("new", 1)), insert(row("new", 2))},
		{remove(row("there", 0)), insert(row("there", 2), row("there", 3))},
		{insert(row("new", 1)), remove(row("new", 1)), insert(row("new", 2), row("new", 3))},
	} {
		s.refused(append([][]runtime.Change{good}, append(changes, good)...)...)
		want(s, row("there", 1))
	}
	s.commit(good)
}

func rowsOfTables(s *rowSuite) {
	for count := range 3 {
		plain := plainRow{ID: "a", Number: int64(count), At: time.Unix(0, 0)}
		s.commit(
			upsert(pairRow{"a", 1, count}), upsert(plain), upsert(pairRow{"a", 2, count}), remove(plain), upsert(plain),
			remove(pairRow{"a", 1, count}), insert(strictRow{ID: int64(count), Name: fmt.Sprint(count), Note: new("")}),
		)
		want(s, pairRow{"a", 2, count})
		want(s, plain)
		require.Len(s, selectRows[strictRow](s), count+1)
	}
	s.refused(upsert(pairRow{"b", 1, 1}), insert(strictRow{ID: 1, Name: "other", Note: new("")}))
	want(s, pairRow{"a", 2, 2})
}

func rowValues(s *rowSuite) {
	zone := time.FixedZone("east", 5*3600+1800)
	rows := []plainRow{
		{ID: "zero", At: time.Time{}},
		{ID: "empty", Note: new(""), Data: []byte{}, At: time.Unix(0, 0)},
		{ID: "least", Number: math.MinInt64, Small: math.MinInt16, Real: -math.MaxFloat64, At: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)},
		{ID: "most", Number: math.MaxInt64, Small: math.MaxInt16, Flag: true, Real: math.MaxFloat64, At: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)},
		{ID: "small", Real: math.SmallestNonzeroFloat64, At: time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC)},
		{ID: "third", Real: 1. / 3, At: time.Date(2024, 2, 29, 23, 59, 59, 123456000, zone)},
		{ID: "bytes", Data: []byte("\x00\x01\xfe\xff'\\"), At: time.Unix(0, 1000)},
	}
	for i, text := range []string{
		"", " ", "a", "A", "a ", "ä", "a\u0308", "日本", "😀", "\x01\x7f", `"'\`, "{1,NULL}", "NULL", "?", "?0", "\t\n\r", "--", "/*", "$1", "\u202e", text(10_000),
	} {
		rows = append(rows, plainRow{ID: fmt.Sprint(i), Text: text, Note: &text, At: time.Unix(int64(i), 0)})
		if len(text) < 1000 {
			rows = append(rows, plainRow{ID: "as key " + text, At: time.Unix(0, 0)})
		}
	}
	s.commit(insert(rows...))
	want(s, rows...)
	s.commit(upsert(rows...))
	want(s, rows...)
	s.commit(remove(rows...))
	want[plainRow](s)
	for _, row := range rows {
		s.commit(upsert(row))
		want(s, row)
		s.commit(remove(row))
	}
}

func rowPairs(s *rowSuite) {
	rows := []pairRow{{"", 0, 1}, {"", -1, 2}, {"", 1, 3}, {"1", 1, 4}, {"11", 1, 5}, {"1", 11, 6}, {"a", math.MinInt32, 7}, {"a", math.MaxInt32, 8}}
	s.commit(insert(rows...))
	want(s, rows...)
	for i := range rows {
		rows[i].Count += 100
	}
	s.commit(upsert(rows[:4]...), remove(rows[4:]...))
	want(s, rows[:4]...)
}

func rowsMany(s *rowSuite) {
	const n = 10_000
	rows := make([]pairRow, n)
	for i := range rows {
		rows[i] = pairRow{fmt.Sprint("page", i*7919%n), int32(i % 7), i}
	}
	s.commit(upsert(rows...))
	want(s, rows...)
	for i := range rows {
		rows[i].Count++
	}
	s.commit(upsert(rows[:n/2]...), remove(rows[n/2:]...), insert(rows[n/2:n/2+100]...))
	want(s, rows[:n/2+100]...)
	s.refused(upsert(rows...), insert(rows[n-1]))
	want(s, rows[:n/2+100]...)
}

func rowConstraints(s *rowSuite) {
	row := func(id int64, name string, amount int64) strictRow { return strictRow{id, name, new("note"), amount} }
	s.commit(insert(row(1, "one", 1), row(2, "two", 2)))
	good := upsert(row(1, "one", 10))
	for _, bad := range []strictRow{row(3, "one", 1), row(2, "one", 1), row(3, "three", -1), {ID: 3, Name: "three"}} {
		for _, changes := range [][]runtime.Change{insert(bad), upsert(bad)} {
			said := s.refused(good, changes, insert(row(4, "four", 4)))
			require.Contains(s, said, "strict_rows")
			require.NotContains(s, said, "three")
			want(s, row(1, "one", 1), row(2, "two", 2))
		}
	}
	s.commit(good, insert(row(4, "four", 4)))
	want(s, row(1, "one", 10), row(2, "two", 2), row(4, "four", 4))
}

// What the tables never have, though a single statement for all rows might see it.
func rowsExchange(s *rowSuite) {
	row := func(id int64, name string) strictRow { return strictRow{id, name, new(""), 0} }
	s.commit(insert(row(1, "a"), row(2, "b"), row(3, "c")))
	s.commit(upsert(row(2, "free")), upsert(row(1, "b")), remove(row(3, "")), insert(row(0, "c")))
	want(s, row(0, "c"), row(1, "b"), row(2, "free"))
	s.commit(upsert(row(0, "x")), upsert(row(1, "c")), upsert(row(0, "b")))
	want(s, row(0, "b"), row(1, "c"), row(2, "free"))
}

func rowsImpossible(s *rowSuite) {
	good := upsert(plainRow{ID: "good", At: time.Unix(0, 0)})
	for _, text := range []string{"\x00", "a\x00b", "\xff", "a\xc3", "\xed\xa0\x80"} {
		for _, row := range []plainRow{{ID: text}, {ID: "bad", Text: text}, {ID: "bad", Note: &text}} {
			s.refused(good, upsert(row))
			s.refused(insert(row), good)
		}
		s.refused(remove(plainRow{ID: text}))
	}
	for _, document := range []documentRow{
		{Document: document{Name: "\x00"}},
		{Document: document{Parts: []float64{math.NaN()}}},
		{More: map[string]string{`\\` + "\x00": ""}},
	} {
		s.refused(good, upsert(document))
	}
	want[plainRow](s)
	want[documentRow](s)
}

func rowDocuments(s *rowSuite) {
	rows := []documentRow{
		{ID: "null"},
		{ID: "empty", Document: document{Parts: []float64{}}, Tags: []string{}, More: map[string]string{}},
		{
			ID: "full", Document: document{`"quoted"\ 'single' ä` + "\x01\n", []float64{1, -2.5, 1e300}}, Tags: []string{"a", `\u0000`, `\\u0000`, ""},
			More: map[string]string{"": "x", `'"\`: `\`},
		},
		{ID: "long", Document: document{Name: strings.Repeat("ä", 100_000)}},
	}
	s.commit(insert(rows...))
	want(s, rows...)
	s.commit(upsert(rows...), remove(rows[0]))
	want(s, rows[1:]...)
}

func rowNullZero(s *rowSuite) {
	rows := []zeroRow{{ID: "zero"}, {ID: "none", Count: 1}, {ID: "all", Count: -1, Name: "a", At: time.Unix(1, 0).UTC()}}
	s.commit(insert(rows...))
	want(s, rows...)
	rows[0].Count, rows[2].Name = 7, ""
	s.commit(upsert(rows...))
	want(s, rows...)
}

// rowModel makes random changes in a store and in the in-memory one, and wants the same from both.
func rowModel(s *rowSuite) {
	fewer(s.T)
	other := memory.NewStore()
	require.NoError(s, other.Migrate(s.Context(), allTables))
	require.NoError(s, other.CreateTables(s.Context(), []*runtime.RowTable{table[pairRow](), table[plainRow]()}))
	o := claim(s, other, s.owner.at.CheckpointKey)
	rapid.Check(s.T, func(r *rapid.T) {
		var changes []runtime.Change
		for range rapid.IntRange(1, 12).Draw(r, "changes") {
			// An insert is refused most times, and with it the batch.
			kind := rapid.SampledFrom([]runtime.ChangeKind{runtime.Upsert, runtime.Upsert, runtime.Insert, runtime.Delete, runtime.Delete}).Draw(r, "kind")
			key := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(r, "key")
			if number := rapid.IntRange(0, 99).Draw(r, "number"); rapid.Bool().Draw(r, "pair") {
				changes = append(changes, change(kind, pairRow{key, int32(number % 2), number})...)
			} else {
				changes = append(changes, change(kind, plainRow{ID: key, Number: int64(number), At: time.Unix(0, 0)})...)
			}
		}
		o.at.Next = s.owner.at.Next
		batch := o.batch()
		batch.Changes = changes
		wanted := other.Commit(s.Context(), batch)
		batch.Epoch = s.owner.at.Epoch
		got := s.store.Commit(s.Context(), batch)
		require.Equal(r, wanted == nil, got == nil, "want %v, got %v", wanted, got)
		if wanted == nil {
			s.owner.at.Next = batch.Next
		} else {
			require.ErrorIs(r, got, runtime.ErrRefused)
		}
		want(s, memory.RowsOf[pairRow](other)...)
		want(s, memory.RowsOf[plainRow](other)...)
	})
}
