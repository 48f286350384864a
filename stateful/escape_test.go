package stateful

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestBadEscape(t *testing.T) {
	for document, want := range map[string]bool{
		``:                       false,
		`"plain"`:                false,
		`"\u0000"`:               true,
		`"\\u0000"`:              false,
		`"\\\u0000"`:             true,
		`"\\\\u0000"`:            false,
		`"\n\t\"\u0000"`:         true,
		`{"\u0000":1}`:           true,
		`"\u00001"`:              true,
		`"\u0001\u00e9"`:         false,
		`"\ud83d\ude00"`:         false,
		`"\uD83D\uDE00\u0000"`:   true,
		`"\ud83d"`:               true,
		`"\ud83dx\ude00"`:        true,
		`"\ude00\ud83d"`:         true,
		`"\ud83d\\ude00"`:        true,
		`"\ud83d\ud83d\ude00"`:   true,
		`"\ud83d\ude00\ud83d"`:   true,
		`"\\ud83d"`:              false,
		`"\`:                     false,
		`"\u00`:                  false,
		`"\uzzzz"`:               false,
		`"\ufffd"`:               false,
		`{"a":"\\","b":"u0000"}`: false,
	} {
		require.Equal(t, want, badEscape([]byte(document)), document)
	}
}

// What a document reads as is the measure: NUL, or a U+FFFD that it does not hold otherwise.
func FuzzBadEscape(f *testing.F) {
	f.Add([]byte(`{"a":"\\\u0000"}`))
	f.Add([]byte(`"\ud83d\ude00"`))
	f.Add([]byte(`["\\ud83d", "\ud83d"]`))
	f.Fuzz(func(t *testing.T, document []byte) {
		found := badEscape(document)
		var text string
		unclear := !utf8.Valid(document) || bytes.Contains(bytes.ToLower(document), []byte("fffd")) || bytes.ContainsRune(document, '\uFFFD')
		if unclear || json.Unmarshal(document, &text) != nil {
			return
		}
		want := bytes.ContainsAny([]byte(text), "\x00\uFFFD")
		if found != want {
			t.Fatalf("%s reads as %q and is found bad: %v", document, text, found)
		}
	})
}
