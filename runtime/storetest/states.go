package storetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
)

func stateLifecycle(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	require.Empty(t, load(t, store, textTable, "a", "b"))
	require.Empty(t, load(t, store, textTable))

	o.commit(t, o.writing(textTable, write{"a", "1", 1, true}, write{"b", "1", 7, true}, write{"c", "1", 1, true}))
	batch := o.writing(textTable, write{"a", "2", 2, false}, write{"b", "2", 8, false}, write{"d", "1", 1, true})
	batch.Deletes = runtime.StateDeletes{Keys: []string{"c"}, Versions: []int64{1}}
	o.commit(t, batch)
	require.Equal(t, map[string]runtime.StateRow{
		"a": {Key: "a", State: []byte("2"), Version: 2},
		"b": {Key: "b", State: []byte("2"), Version: 8},
		"d": {Key: "d", State: []byte("1"), Version: 1},
	}, load(t, store, textTable, "d", "c", "b", "a", "none"))

	batch = o.batch()
	batch.Table = textTable.Name
	batch.Deletes = runtime.StateDeletes{Keys: []string{"a", "b", "d"}, Versions: []int64{2, 8, 1}}
	o.commit(t, batch)
	require.Empty(t, load(t, store, textTable, "a", "b", "c", "d"))
	require.Empty(t, load(t, store, binaryTable, "a", "b", "c", "d"))
}

func stateConflicts(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	o.commit(t, o.writing(textTable, write{"a", "1", 1, true}, write{"z", "5", 5, true}))
	before := checkpoint(t, store, o.at.CheckpointKey)

	good := []write{{"a", "2", 2, false}, {"n", "1", 1, true}}
	for name, spoilt := range map[string]struct {
		row    write
		delete runtime.StateDeletes
	}{
		"a fresh row that is there":                     {row: write{"z", "1", 1, true}},
		"a fresh row that is there, at the version":     {row: write{"z", "6", 6, true}},
		"a known row at an older version":               {row: write{"z", "7", 7, false}},
		"a known row at a newer version":                {row: write{"z", "5", 5, false}},
		"a known row that is not there":                 {row: write{"zz", "2", 2, false}},
		"a known row that is not there, from version 0": {row: write{"zz", "1", 1, false}},
		"a deleted row at another version":              {delete: runtime.StateDeletes{Keys: []string{"z"}, Versions: []int64{4}}},
		"a deleted row that is not there":               {delete: runtime.StateDeletes{Keys: []string{"zz"}, Versions: []int64{5}}},
		"a deleted row beside one that is":              {delete: runtime.StateDeletes{Keys: []string{"z", "zz"}, Versions: []int64{5, 5}}},
	} {
		rows := good
		if spoilt.row.key != "" {
			rows = append([]write{spoilt.row}, good...)
		}
		batch := o.writing(textTable, rows...)
		batch.Deletes = spoilt.delete
		batch.Put[0] = []byte("pending")
		require.ErrorIs(t, store.Commit(t.Context(), batch), runtime.ErrConflict, name)
		requireSame(t, before, checkpoint(t, store, o.at.CheckpointKey))
		require.Equal(t, map[string]runtime.StateRow{
			"a": {Key: "a", State: []byte("1"), Version: 1},
			"z": {Key: "z", State: []byte("5"), Version: 5},
		}, load(t, store, textTable, "a", "n", "z", "zz"), name)
	}

	// Two mistakes that would even out in a count of rows.
	batch := o.writing(textTable, write{"z", "6", 6, true}, write{"zz", "2", 2, false})
	require.ErrorIs(t, store.Commit(t.Context(), batch), runtime.ErrConflict)
	o.commit(t, o.writing(textTable, good...))
}

func stateCameBack(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	other := claim(t, store, partition("count", "words", 1))
	o.commit(t, o.writing(textTable, write{"a", "1", 1, true}))

	gone := other.batch()
	gone.Table, gone.Deletes = textTable.Name, runtime.StateDeletes{Keys: []string{"a"}, Versions: []int64{1}}
	other.commit(t, gone)
	require.ErrorIs(t, store.Commit(t.Context(), o.writing(textTable, write{"a", "2", 2, false})), runtime.ErrConflict)

	other.commit(t, other.writing(textTable, write{"a", "again", 1 << 60, true}))
	require.ErrorIs(t, store.Commit(t.Context(), o.writing(textTable, write{"a", "2", 2, false})), runtime.ErrConflict,
		"a row that came back is at the version that it was written with")
	require.ErrorIs(t, store.Commit(t.Context(), o.writing(textTable, write{"a", "1", 1, true})), runtime.ErrConflict)
	o.commit(t, o.writing(textTable, write{"a", "2", 1<<60 + 1, false}))
}

func stateBinaryKeys(t *testing.T, connect Connect) {
	keys := []string{"", "\x00", "\x00\x00", "\xff\xfe", `\x00`, "é", strings.Repeat("\x00k", 500)}
	for b := range 256 {
		keys = append(keys, string([]byte{'b', byte(b)}))
	}
	stateRoundTrip(t, newStore(t, connect), binaryTable, keys)
}

func stateTextKeys(t *testing.T, connect Connect) {
	stateRoundTrip(t, newStore(t, connect), textTable, []string{
		"", " ", "a", "A", "a ", "ä", "a\u0308", "ß", "ss", "日本", "😀", "\x01\x7f", `"'\`, "{1,NULL}", "NULL", "null", "\t\n", "\u202e", "\uffff",
		strings.Repeat("k", 1000),
	})
}

// stateRoundTrip inserts, replaces, reads and deletes a row for each key, each apart from the others.
func stateRoundTrip(t *testing.T, store runtime.Store, table runtime.StateTable, keys []string) {
	o := claim(t, store, partition("count", "words", 0))
	fresh, known := make([]write, len(keys)), make([]write, len(keys))
	for i, key := range keys {
		fresh[i] = write{key, fmt.Sprintf("first %q", key), 1, true}
		known[i] = write{key, fmt.Sprintf("second %q", key), 2, false}
	}
	for i, rows := range [][]write{fresh, known} {
		o.commit(t, o.writing(table, rows...))
		found := load(t, store, table, keys...)
		require.Len(t, found, len(keys))
		for _, row := range rows {
			require.Equal(t, row.state, string(found[row.key].State), "%q", row.key)
			require.Equal(t, int64(i+1), found[row.key].Version)
		}
	}
	batch := o.writing(table, known...)
	for _, key := range batch.Writes.Keys {
		batch.Deletes.Keys, batch.Deletes.Versions = append(batch.Deletes.Keys, key), append(batch.Deletes.Versions, 2)
	}
	batch.Writes = runtime.StateWrites{}
	o.commit(t, batch)
	require.Empty(t, load(t, store, table, keys...))
}

func stateDocuments(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	documents := []string{
		`{}`, `[]`, `0`, `"text"`, `null`, `true`, `-1.5e3`, `{"a": [1, {"b": null}], "ü": "日本 😀", "quote": "\" \\ \/ \n é"}`,
		`"\\u0000"`, `12345678901234567890123`, `{"deep": ` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`,
	}
	for i, document := range documents {
		key := fmt.Sprint("key", i)
		o.commit(t, o.writing(documentTable, write{key, `{"before": 1}`, 1, true}))
		o.commit(t, o.writing(documentTable, write{key, document, 2, false}))
		require.JSONEq(t, document, string(load(t, store, documentTable, key)[key].State))
	}
}

func stateBytes(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	states := []string{"", "\x00", "\xff\x00\xfe", strings.Repeat("state ", 1<<18)}
	for i, state := range states {
		key := fmt.Sprint("key", i)
		o.commit(t, o.writing(textTable, write{key, state, 1, true}))
		row := load(t, store, textTable, key)[key]
		require.Equal(t, state, string(row.State), key)
		require.Equal(t, int64(1), row.Version)
	}
}

func stateRefused(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	for name, bad := range map[string]struct {
		table runtime.StateTable
		row   write
	}{
		"NUL in a text key":      {textTable, write{"a\x00", "1", 1, true}},
		"text key not UTF-8":     {textTable, write{"a\xff", "1", 1, true}},
		"not JSON":               {documentTable, write{"a", `{"a":`, 1, true}},
		"empty":                  {documentTable, write{"a", ``, 1, true}},
		"JSON not UTF-8":         {documentTable, write{"a", "\"\xff\"", 1, true}},
		"NUL in a JSON document": {documentTable, write{"a", `{"a": "\\\u0000"}`, 1, true}},
	} {
		err := store.Commit(t.Context(), o.writing(bad.table, write{"b", "{}", 1, true}, bad.row))
		require.ErrorContains(t, err, bad.table.Name, name)
		require.ErrorContains(t, err, fmt.Sprintf("%q", bad.row.key), name)
		for _, decision := range []error{runtime.ErrUnavailable, runtime.ErrConflict, runtime.ErrFenced} {
			require.NotErrorIs(t, err, decision, name)
		}
		require.NotContains(t, err.Error(), "\n", name)
		require.Empty(t, load(t, store, bad.table, "b"), name)
	}
	o.commit(t, o.writing(textTable, write{"b", "1", 1, true}))
}

func stateMany(t *testing.T, connect Connect) {
	const rows = 10_000
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	fresh, half := make([]write, rows), make([]write, 0, rows)
	keys := make([]string, rows)
	for i := range rows {
		keys[i] = fmt.Sprintf("key%d", i)
		fresh[i] = write{keys[i], fmt.Sprint(i), 1, true}
		if i%2 == 0 {
			half = append(half, write{keys[i], fmt.Sprint(-i), 2, false}, write{fmt.Sprintf("more%d", i), "0", 1, true})
		}
	}
	o.commit(t, o.writing(textTable, fresh...))
	o.commit(t, o.writing(textTable, half...))
	found := load(t, store, textTable, keys...)
	require.Len(t, found, rows)
	for i, key := range keys {
		want := fmt.Sprint(i)
		if i%2 == 0 {
			want = fmt.Sprint(-i)
		}
		require.Equal(t, want, string(found[key].State), key)
	}

	last := o.writing(textTable, half...)
	for i := range last.Writes.Versions {
		last.Writes.Versions[i], last.Writes.Fresh[i] = last.Writes.Versions[i]+1, false
	}
	last.Writes.FreshRows = 0
	last.Writes.Versions[rows-1]++
	require.ErrorIs(t, store.Commit(t.Context(), last), runtime.ErrConflict, "the last row decides for all")
	require.Equal(t, found, load(t, store, textTable, keys...))
	last.Writes.Versions[rows-1]--
	o.commit(t, last)
}

func stateNoTable(t *testing.T, connect Connect) {
	store := newStore(t, connect)
	o := claim(t, store, partition("count", "words", 0))
	missing := runtime.StateTable{Name: "missing"}
	_, loaded := store.Load(t.Context(), missing.Name, []string{"a"})
	for _, err := range []error{loaded, store.Commit(t.Context(), o.writing(missing, write{"a", "1", 1, true}))} {
		require.ErrorContains(t, err, "missing")
		require.NotErrorIs(t, err, runtime.ErrUnavailable)
		require.NotErrorIs(t, err, runtime.ErrConflict)
	}
}
