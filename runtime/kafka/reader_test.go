package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/topic"
)

// TestALimitThatGrowsWakesTheLane: a lane that was told that a reader is full waits for the reader to say that it is not.
func TestALimitThatGrowsWakesTheLane(t *testing.T) {
	limit := 100
	lane := &lane{wake: make(chan struct{}, 1)}
	r := &reader{limit: func() int { return limit }, lane: lane, arrived: make(chan struct{}, 1)}
	r.append(block{messages: make([]topic.Raw, 10), bytes: 150})
	_, full := r.state()
	require.True(t, full)
	limit = 200
	taken, err := r.take(nil, 1)
	require.NoError(t, err)
	require.Len(t, taken, 1)
	require.Len(t, lane.wake, 1)

	_, full = r.state()
	require.False(t, full)
	<-lane.wake
	_, err = r.take(nil, 100)
	require.NoError(t, err)
	require.Empty(t, lane.wake, "it was not told to wait")
}
