package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

func TestAppIsValid(t *testing.T) {
	require.NoError(t, flows.New(sorting()).Validate())
}

func TestEachReadingGoesWhereItBelongs(t *testing.T) {
	f, err := sorting().Compile()
	require.NoError(t, err)
	for value, want := range map[float64]string{
		21.5: "usual hall 21.5", 40: "alarms hall 40.0 degrees", 120: "alarms hall 120.0 degrees", 121: "broken hall 121",
		-60: "usual hall -60", math.NaN(): "broken hall NaN",
	} {
		reading := readings.Record("hall", value)
		require.Equal(t, want, sorted(t, f, reading))
	}
	require.Equal(t, "broken hall (tombstone)", sorted(t, f, readings.Tombstone("hall")))
}

// sorted returns where a reading goes, and as what.
func sorted(t *testing.T, f *runtime.Function, reading topic.Record) string {
	t.Helper()
	out, err := f.Apply(t.Context(), &runtime.Input{Raw: topic.Raw{Key: reading.Key(), Value: reading.Value()}}, nil)
	require.NoError(t, err)
	require.Len(t, out, 1)
	key, value, err := out[0].Spec().Show(out[0].Key(), out[0].Value())
	require.NoError(t, err)
	return out[0].Spec().Name + " " + key + " " + value
}
