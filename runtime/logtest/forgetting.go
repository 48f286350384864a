package logtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime"
)

// Broker is what a test can do to the broker behind a Log.
type Broker struct {
	// Restart ends the broker and starts it again.
	Restart func()
	// Delete deletes the records of a partition below an offset.
	Delete func(ctx context.Context, partition runtime.TopicPartition, before int64) error
}

// RunForgetting holds a log to what its broker remembers of an identity: after a restart the last batch, whatever is deleted.
func RunForgetting(t *testing.T, driver Driver, broker Broker) {
	t.Run("restart", func(t *testing.T) {
		f := newFixture(t, driver)
		p, identity := f.topic(1), f.identity()
		for i := range int32(4) {
			require.EqualValues(t, 10*i, f.sent(p, identity, 10*i, fresh()))
		}
		broker.Restart()
		require.ErrorIs(t, f.surely(p, identity, 10, fresh()).Err, runtime.ErrOutOfOrder)
		require.ErrorIs(t, f.surely(p, identity, 20, fresh()).Err, runtime.ErrOutOfOrder)
		require.NoError(t, f.surely(p, identity, 30, fresh()).Err, "the last one is remembered")
		require.Equal(t, runtime.Ack{Offset: 40}, f.surely(p, identity, 40, fresh()))
		require.NoError(t, f.surely(p, identity, 30, fresh()).Err, "and the one before the next")
		require.EqualValues(t, 50, f.end(p))
	})
	t.Run("deleted records", func(t *testing.T) {
		f := newFixture(t, driver)
		p, identity := f.topic(1), f.identity()
		for i := range int32(3) {
			require.EqualValues(t, 10*i, f.surely(p, identity, 10*i, fresh()).Offset)
		}
		require.NoError(t, broker.Delete(f.ctx, p, 30))
		for i := range int32(3) {
			require.NoError(t, f.surely(p, identity, 10*i, fresh()).Err)
		}
		require.ErrorIs(t, f.surely(p, identity, 40, fresh()).Err, runtime.ErrOutOfOrder, "a gap is one still")
		require.EqualValues(t, 30, f.surely(p, identity, 30, fresh()).Offset)
	})
}

// fresh makes records that are not old: those a broker deletes when it starts.
func fresh() []runtime.Output {
	made := records("a", 10)
	for i := range made {
		made[i].Timestamp = time.Now().UnixMilli()
	}
	return made
}

// surely sends a batch until the outcome is known.
func (f *fixture) surely(to runtime.TopicPartition, as runtime.Identity, sequence int32, records []runtime.Output) (ack runtime.Ack) {
	f.t.Helper()
	f.eventually(func() error {
		acks, err := f.log.Send(f.ctx, as, []runtime.RecordBatch{{TopicPartition: to, Sequence: sequence, Records: runtime.Encode(records...)}})
		if err != nil {
			return err
		}
		if ack = acks[0]; errors.Is(ack.Err, runtime.ErrUnavailable) {
			return ack.Err
		}
		return nil
	})
	return ack
}
