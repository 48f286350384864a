// Package logtest is the suite that every driver of runtime.Log passes.
//
// It holds a driver to the contract of the port and to what the engine relies on besides: how a broker answers to
// batches that are repeated, missing or superseded. What only one driver can do, such as restart its broker, is tested
// with that driver.
package logtest

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// patience is how long anything may take. Nothing is asserted about how long it does.
const patience = time.Minute

// Driver is what the suite runs on.
type Driver struct {
	// Open makes a Log for a test; the suite closes it. Those it makes may share a cluster: topics and groups have
	// names of their own.
	Open func(t *testing.T) runtime.Log
	// Lacks are the features that the log behind the driver does not have; the tests that need them are skipped.
	Lacks Feature
	// Ignore are goroutines that a client library never ends.
	Ignore []goleak.Option
}

// Feature is something that a Kafka broker does and a stand-in for one may not do.
type Feature uint

const (
	// AnyFirstSequence lets an identity that is unknown begin at any sequence, not only at 0.
	AnyFirstSequence Feature = 1 << iota
	// ProducerStates tells what is remembered of an identity, also without transactions.
	ProducerStates
)

// Run runs the suite.
func Run(t *testing.T, driver Driver) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"topics", testTopics},
		{"records come back as they were", testRecords},
		{"offsets and bounds", testOffsets},
		{"end of a full reader", testEndOfAFullReader},
		{"many records", testManyRecords},
		{"readers of one partition", testReaders},
		{"a slow reader", testSlowReader},
		{"reading waits", testReadingWaits},
		{"out of range", testOutOfRange},
		{"too large", testTooLarge},
		{"identities", testIdentities},
		{"repeated batches", testRepeated},
		{"batches out of order", testOutOfOrder},
		{"producer states", testProducerStates},
		{"epochs", testEpochs},
		{"unknown identity", testUnknownIdentity},
		{"sequences wrap", testWrap},
		{"without an identity", testWithoutIdentity},
		{"many partitions at once", testManyPartitions},
		{"batch headers", testBatches},
		{"a member alone", testAlone},
		{"members share", testShare},
		{"a member that fails", testMemberFails},
		{"a member that has nothing to do", testMemberIdle},
		{"a member that does not let go", testRelease},
		{"marks", testMarks},
		{"group of an unknown topic", testUnknownGroup},
		{"reset offsets", testResetOffsets},
		{"offset at a time", testOffsetAt},
		{"calls that are called off", testCancelled},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := append([]goleak.Option{goleak.IgnoreCurrent()}, driver.Ignore...)
			t.Cleanup(func() {
				if !t.Failed() {
					goleak.VerifyNone(t, options...)
				}
			})
			test.run(t, newFixture(t, driver))
		})
	}
}

// fixture is what a test has: a Log and a context that ends with the test.
type fixture struct {
	t      *testing.T
	log    runtime.Log
	driver Driver
	ctx    context.Context
}

func newFixture(t *testing.T, driver Driver) *fixture {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	f := &fixture{t: t, driver: driver, log: driver.Open(t), ctx: ctx}
	t.Cleanup(func() { require.NoError(t, f.log.Close()) })
	return f
}

// need skips the test where the log lacks a feature.
func (f *fixture) need(feature Feature, name string) {
	if f.driver.Lacks&feature != 0 {
		f.t.Skip("this log lacks: " + name)
	}
}

func unique(kind string) string { return "logtest-" + kind + "-" + strings.ToLower(rand.Text()[:10]) }

// topic creates a topic and returns its first partition.
func (f *fixture) topic(partitions int32) runtime.TopicPartition {
	f.t.Helper()
	name := unique("topic")
	require.NoError(f.t, f.log.Create(f.ctx, []runtime.NewTopic{{Name: name, Partitions: partitions}}))
	return runtime.TopicPartition{Topic: name}
}

func (f *fixture) identity() runtime.Identity {
	f.t.Helper()
	var identity runtime.Identity
	f.eventually(func() (err error) {
		identity, err = f.log.NewIdentity(f.ctx)
		return err
	})
	return identity
}

// eventually tries again as long as the log is unavailable, as the engine does.
func (f *fixture) eventually(try func() error) {
	f.t.Helper()
	for {
		err := try()
		if !errors.Is(err, runtime.ErrUnavailable) {
			require.NoError(f.t, err)
			return
		}
		select {
		case <-f.ctx.Done():
			require.NoError(f.t, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// records makes n records; text tells them apart.
func records(text string, n int) []runtime.Output {
	made := make([]runtime.Output, n)
	for i := range made {
		made[i] = runtime.Output{Key: []byte(text), Value: []byte{byte(i)}, Timestamp: 1_700_000_000_000 + int64(i)}
	}
	return made
}

// send sends one batch and returns the answer.
func (f *fixture) send(to runtime.TopicPartition, as runtime.Identity, sequence int32, records []runtime.Output) runtime.Ack {
	f.t.Helper()
	acks, err := f.log.Send(f.ctx, as, []runtime.RecordBatch{{TopicPartition: to, Sequence: sequence, Records: runtime.Encode(records...)}})
	require.NoError(f.t, err)
	require.Len(f.t, acks, 1)
	return acks[0]
}

// sent sends a batch that must be taken, or have been, and returns the offset of its first record.
func (f *fixture) sent(to runtime.TopicPartition, as runtime.Identity, sequence int32, records []runtime.Output) int64 {
	f.t.Helper()
	ack := f.send(to, as, sequence, records)
	require.NoError(f.t, ack.Err)
	return ack.Offset
}

// refused sends a batch that must be refused.
func (f *fixture) refused(to runtime.TopicPartition, as runtime.Identity, sequence int32, records []runtime.Output, why error) {
	f.t.Helper()
	end := f.end(to)
	require.ErrorIs(f.t, f.send(to, as, sequence, records).Err, why)
	require.Equal(f.t, end, f.end(to), "a refused batch was appended")
}

func (f *fixture) end(of runtime.TopicPartition) int64 {
	f.t.Helper()
	_, end, err := f.log.Bounds(f.ctx, of)
	require.NoError(f.t, err)
	return end
}

// read returns n messages from an offset on.
func (f *fixture) read(from runtime.TopicPartition, offset int64, n int) []topic.Raw {
	f.t.Helper()
	reader, err := f.log.Open(f.ctx, runtime.Position{TopicPartition: from, Offset: offset}, runtime.ReadLimits{})
	require.NoError(f.t, err)
	defer func() { require.NoError(f.t, reader.Close()) }()
	return f.take(reader, n)
}

func (f *fixture) take(reader runtime.Reader, n int) (messages []topic.Raw) {
	f.t.Helper()
	for len(messages) < n {
		before := len(messages)
		f.eventually(func() (err error) {
			messages, err = reader.Read(f.ctx, messages, n-len(messages))
			return err
		})
		require.Greater(f.t, len(messages), before, "Read returned nothing")
	}
	require.Len(f.t, messages, n, "Read returned more than it was asked for")
	return messages
}
