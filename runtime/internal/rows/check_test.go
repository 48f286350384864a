package rows

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
)

// A document is refused for a NUL exactly where decoding it gives one.
func TestEscapedNUL(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([]string{`\\`, `\u0000`, `u0000`, `\u0001`, `\"`, `0`, `é`})).Draw(r, "parts")
		document := `"` + strings.Join(parts, "") + `"`
		var text string
		require.NoError(r, json.Unmarshal([]byte(document), &text), document)
		require.Equal(r, strings.Contains(text, "\x00"), EscapesNUL([]byte(document)), document)
	})
	require.False(t, EscapesNUL([]byte(`"\`)))
}

func TestCheckBatch(t *testing.T) {
	good := func() *runtime.Commit {
		return &runtime.Commit{
			Writes: runtime.StateWrites{
				Keys: []string{"a", "c"}, States: [][]byte{{1}, {1}}, Versions: []int64{1, 2}, Fresh: []bool{true, false}, FreshRows: 1,
			},
			Deletes: runtime.StateDeletes{Keys: []string{"b", "d"}, Versions: []int64{1, 1}},
		}
	}
	require.NoError(t, CheckBatch(good()))
	for name, spoil := range map[string]func(*runtime.Commit){
		"fewer states":   func(b *runtime.Commit) { b.Writes.States = b.Writes.States[:1] },
		"fewer versions": func(b *runtime.Commit) { b.Writes.Versions = b.Writes.Versions[:1] },
		"fewer fresh":    func(b *runtime.Commit) { b.Writes.Fresh = b.Writes.Fresh[:1] },
		"fewer deletes":  func(b *runtime.Commit) { b.Deletes.Versions = nil },
		"fresh rows":     func(b *runtime.Commit) { b.Writes.FreshRows = 2 },
		"order":          func(b *runtime.Commit) { b.Writes.Keys = []string{"c", "a"} },
		"twice":          func(b *runtime.Commit) { b.Deletes.Keys = []string{"b", "b"} },
		"both":           func(b *runtime.Commit) { b.Deletes.Keys = []string{"b", "c"} },
	} {
		batch := good()
		spoil(batch)
		require.Error(t, CheckBatch(batch), name)
	}
}

func TestCheckStatesLeavesBytesAlone(t *testing.T) {
	table := runtime.StateTable{Name: "a", Key: format.Binary, State: format.Text}
	require.NoError(t, CheckStates(table, runtime.StateWrites{Keys: []string{"\x00\xff"}, States: [][]byte{{0}}}))
}
