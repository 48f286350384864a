package operations

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
)

// FuzzPlace reads places of dead letters from the command line. One that is taken is written the same way again.
func FuzzPlace(f *testing.F) {
	for _, text := range []string{"0:17", "", ":", "0:", "-1:0", "0:-1", "2147483648:0", "+1:+2", "01:9223372036854775808", "1:2:3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePlace(text)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			require.Zero(t, p)
			return
		}
		require.GreaterOrEqual(t, p.Partition, int32(0))
		require.GreaterOrEqual(t, p.Offset, int64(0))
		again, err := ParsePlace(p.String())
		require.NoError(t, err)
		require.Equal(t, p, again)
	})
}

// FuzzStateKey reads keys of states from the command line. One that is taken is shown as what is read as the same key.
func FuzzStateKey(f *testing.F) {
	for _, text := range []string{"", "tea", "0x", "0xff00", "0xf", "0X00", "\x00", "\xff", "0x0g", "ff"} {
		f.Add(text, true)
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text string, isText bool) {
		kind := format.Binary
		if isText {
			kind = format.Text
		}
		key, err := parseKey(kind, text)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			require.Empty(t, key)
			return
		}
		again, err := parseKey(kind, showKey(kind, key))
		require.NoError(t, err)
		require.Equal(t, key, again)
	})
}
