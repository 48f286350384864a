package runtime

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/topic"
)

// FuzzDeadLetter makes a dead letter of a message and the message of the dead letter.
func FuzzDeadLetter(f *testing.F) {
	f.Add([]byte("k"), []byte("v"), "header", []byte("value"), "reason", int64(7), int32(3), 2)
	f.Add([]byte(nil), []byte("\x00\xff"), "flows-topic", []byte("other"), strings.Repeat("\xff", 2_000), int64(-1), int32(-1), -5)
	f.Add([]byte{}, []byte(nil), "Flows-offset", []byte("x"), strings.Repeat("語", 500), int64(1)<<62, int32(1)<<30, 0)
	f.Fuzz(func(t *testing.T, key, value []byte, name string, header []byte, reason string, offset int64, partition int32, attempt int) {
		in := &Input{Raw: topic.Raw{
			Key: key, Value: value, Offset: offset, Timestamp: time.UnixMilli(offset % (1 << 40)), Headers: topic.Headers{{Key: name, Value: header}},
		}, Topic: "words", Partition: partition}
		letter := deadLetter("count", in, attempt, errors.New(reason), time.Unix(1, 0))
		shown, _ := letter.Headers.Last(HeaderReason)
		require.LessOrEqual(t, len(shown), maxReason)
		require.True(t, utf8.Valid(shown))

		again := &Input{Raw: topic.Raw{Key: letter.Key, Value: letter.Value, Headers: letter.Headers, Timestamp: time.UnixMilli(letter.Timestamp)}}
		require.Equal(t, max(0, attempt), attemptsOf(again))
		revive(again)
		if strings.HasPrefix(name, topic.ReservedHeader) {
			in.Headers = topic.Headers{}
		}
		require.Equal(t, in, again)

		// Anybody can write to the topic of the dead letters.
		foreign := &Input{Raw: topic.Raw{Headers: topic.Headers{
			{Key: HeaderTopic, Value: header}, {Key: HeaderPartition, Value: header}, {Key: HeaderOffset, Value: value}, {Key: HeaderAttempt, Value: header},
		}}}
		require.GreaterOrEqual(t, attemptsOf(foreign), 0)
		revive(foreign)
		require.Empty(t, foreign.Headers)
	})
}
