package kafka

import (
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// sent returns the request that a broker gets with a record batch.
func sent(t require.TestingT, batch *sarama.RecordBatch) []byte {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	requests := make(chan []byte, 1)
	go func() {
		defer close(requests)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		request := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(conn, request); err == nil {
			requests <- request
		}
	}()
	config := sarama.NewConfig()
	config.Version, config.ApiVersionsRequest = sarama.V2_8_0_0, false
	broker := sarama.NewBroker(listener.Addr().String())
	require.NoError(t, broker.Open(config))
	defer broker.Close()
	request := &sarama.ProduceRequest{Version: 7, RequiredAcks: sarama.NoResponse}
	request.AddBatch("counts", 3, batch)
	_, err = broker.Produce(request)
	require.NoError(t, err)
	got := <-requests
	require.NotEmpty(t, got)
	return got
}

// TestRecordsThatAreHandedOverAreThoseThatSaramaMakes holds what goes to a broker when sarama is handed encoded records
// against what it makes of the same records itself.
func TestRecordsThatAreHandedOverAreThoseThatSaramaMakes(t *testing.T) {
	require.NotNil(t, encodedField, "this sarama takes no encoded records: outputs are encoded twice")
	data := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 300))
	output := rapid.Custom(func(t *rapid.T) runtime.Output {
		o := runtime.Output{
			Key: data.Draw(t, "key"), Value: data.Draw(t, "value"), Timestamp: 1_700_000_000_000 + rapid.Int64Range(-1000, 1000).Draw(t, "timestamp"),
		}
		for range rapid.IntRange(0, 2).Draw(t, "headers") {
			o.Headers = append(o.Headers, topic.Header{Key: rapid.StringN(0, 5, 20).Draw(t, "name"), Value: data.Draw(t, "header")})
		}
		return o
	})
	rapid.Check(t, func(t *rapid.T) {
		batch := runtime.RecordBatch{
			TopicPartition: runtime.TopicPartition{Topic: "counts", Partition: 3}, Sequence: rapid.Int32Min(0).Draw(t, "sequence"),
			Records: runtime.Encode(rapid.SliceOfN(output, 1, 20).Draw(t, "outputs")...),
		}
		identity := runtime.Identity{ProducerID: rapid.Int64Min(-1).Draw(t, "producer"), Epoch: rapid.Int16Min(0).Draw(t, "epoch")}
		handed, err := encode(identity, &batch)
		require.NoError(t, err)
		made, err := encode(identity, &batch)
		require.NoError(t, err)
		*made = sarama.RecordBatch{
			Version: made.Version, ProducerID: made.ProducerID, ProducerEpoch: made.ProducerEpoch, FirstSequence: made.FirstSequence,
			FirstTimestamp: made.FirstTimestamp, MaxTimestamp: made.MaxTimestamp, LastOffsetDelta: made.LastOffsetDelta,
		}
		require.NoError(t, encodeAnew(made, &batch.Records))
		require.Equal(t, sent(t, made), sent(t, handed))
	})
}
