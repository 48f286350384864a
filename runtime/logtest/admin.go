package logtest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
)

func testResetOffsets(t *testing.T, f *fixture) {
	admin := f.log.(runtime.Administrator)
	at, group := f.topic(2), unique("group")
	other := runtime.TopicPartition{Topic: at.Topic, Partition: 1}
	f.sent(at, f.identity(), 0, records("a", 3))
	committed := func(of runtime.TopicPartition, want int64) {
		t.Helper()
		var got int64
		f.eventually(func() (err error) {
			got, err = f.log.Committed(f.ctx, group, of)
			return err
		})
		require.Equal(t, want, got)
	}
	members := func(want int) {
		t.Helper()
		require.Eventually(t, func() bool {
			found, err := admin.Members(f.ctx, group)
			return err == nil && found == want
		}, patience, 10*time.Millisecond)
	}
	members(0)
	reset := func(offsets map[runtime.TopicPartition]int64) error { return admin.ResetOffsets(f.ctx, group, offsets) }
	f.eventually(func() error { return reset(map[runtime.TopicPartition]int64{at: runtime.Never}) })
	f.eventually(func() error { return reset(map[runtime.TopicPartition]int64{at: 2, other: 0}) })
	committed(at, 2)
	committed(other, 0)
	f.eventually(func() error { return reset(map[runtime.TopicPartition]int64{at: runtime.Never, other: 1}) })
	committed(at, runtime.Never)
	committed(other, 1)

	ctx, leave := context.WithCancel(f.ctx)
	left, joined := make(chan error, 1), make(chan struct{}, 16)
	go func() {
		left <- f.log.Join(ctx, runtime.Group{Name: group, Topics: []string{at.Topic}}, func(ctx context.Context, _ runtime.Held) error {
			joined <- struct{}{}
			<-ctx.Done()
			return nil
		})
	}()
	<-joined
	members(1)
	require.ErrorIs(t, reset(map[runtime.TopicPartition]int64{at: 1}), runtime.ErrMembers)
	require.ErrorIs(t, reset(map[runtime.TopicPartition]int64{other: runtime.Never}), runtime.ErrMembers)
	leave()
	require.NoError(t, <-left)
	members(0)
	committed(at, runtime.Never)
	committed(other, 1)
	f.eventually(func() error { return reset(map[runtime.TopicPartition]int64{other: runtime.Never}) })
	committed(other, runtime.Never)
}

func testOffsetAt(t *testing.T, f *fixture) {
	admin := f.log.(runtime.Administrator)
	at := f.topic(1)
	made := records("a", 5)
	first := time.UnixMilli(made[0].Timestamp)
	f.sent(at, f.identity(), 0, made)
	for when, want := range map[time.Time]int64{
		first.Add(-time.Hour): 0, first: 0, first.Add(2 * time.Millisecond): 2, first.Add(4 * time.Millisecond): 4, first.Add(time.Hour): 5,
	} {
		offset, err := admin.OffsetAt(f.ctx, at, when)
		require.NoError(t, err)
		require.Equal(t, want, offset, "%s", when)
	}
}
