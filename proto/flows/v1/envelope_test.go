package flowsv1_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/kappaflows/flows/format"
	flowsv1 "github.com/kappaflows/flows/proto/flows/v1"
)

var envelopes = format.Protobuf[*flowsv1.Envelope]()

func roundTrip(t *testing.T, in *flowsv1.Envelope) *flowsv1.Envelope {
	t.Helper()
	data, err := envelopes.Append(nil, in)
	require.NoError(t, err)
	out, err := envelopes.Decode(data)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(in, out, protocmp.Transform()))
	return out
}

// Null and empty are different things in Kafka, and must be on the other side of a join's topic too.
func TestEnvelopeKeepsNullAndEmptyApart(t *testing.T) {
	null := roundTrip(t, &flowsv1.Envelope{Side: "orders", Headers: []*flowsv1.Header{{Key: []byte("h")}}})
	require.Nil(t, null.Key)
	require.Nil(t, null.Value)
	require.Nil(t, null.Headers[0].Value)

	empty := roundTrip(t, &flowsv1.Envelope{
		Key: []byte{}, Value: []byte{}, Headers: []*flowsv1.Header{{Key: []byte("\xff"), Value: []byte{}}},
	})
	require.NotNil(t, empty.Key)
	require.NotNil(t, empty.Value)
	require.NotNil(t, empty.Headers[0].Value)
	require.Equal(t, "\xff", string(empty.Headers[0].Key))
}

func ExampleEnvelope() {
	fmt.Println(envelopes.Name())
	fmt.Println(envelopes.Show(&flowsv1.Envelope{Side: "orders", Topic: "orders", Partition: 2, Offset: 7, Key: []byte("o-1")}))
	// Output:
	// protobuf flows.v1.Envelope
	// {"side":"orders","topic":"orders","partition":2,"offset":"7","key":"by0x"}
}
