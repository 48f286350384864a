package simulation

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
)

// TestTalliesAreJudged: of one key in several partitions any order will do, and nothing but what was counted.
func TestTalliesAreJudged(t *testing.T) {
	for name, c := range map[string]struct {
		tallies []string
		said    string
	}{
		"in order":                     {[]string{"1", "2", "-2", "1", "-1"}, ""},
		"in another order":             {[]string{"1", "1", "-1", "2", "-2"}, ""},
		"one twice":                    {[]string{"1", "1", "-2", "1", "-1"}, "3 of tally 1 of a0 where there should be 2"},
		"one lost and another doubled": {[]string{"2", "2", "-2", "1", "-1"}, "1 of tally 1 of a0 where there should be 2"},
		"beyond what there is":         {[]string{"1", "3", "-2", "1", "-1"}, "1 of tally 3 of a0 where there should be 0"},
		"begun anew too late":          {[]string{"1", "2", "-1", "1", "-1"}, "2 of lines of a0 where there should be 3"},
		"one lost":                     {[]string{"1", "2", "-2", "-1"}, "4 of tallies of a0 where there should be 5"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{schedule: schedule{plan: plan{inputs: 1, middles: 1, outputs: 1, authors: true}}, log: memory.NewLog(), store: memory.NewStore()}
			require.NoError(t, w.create(t.Context()))
			for _, words := range [][]string{{"w"}, {"w"}, nil, {"w"}, nil} {
				w.put(0, line{author: "a0", words: words})
			}
			for _, n := range c.tallies {
				_, err := w.log.Append(tallies, 0, runtime.Output{Key: []byte("a0"), Value: []byte(n)})
				require.NoError(t, err)
			}
			err := w.checkAuthors()
			if c.said == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.said)
			}
		})
	}
}
