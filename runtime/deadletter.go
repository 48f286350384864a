package runtime

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/topic"
)

// Headers of a dead letter. Its key, value, other headers and timestamp are the message's, byte for byte.
const (
	HeaderReason    = topic.ReservedHeader + "reason"
	HeaderFunction  = topic.ReservedHeader + "function"
	HeaderTopic     = topic.ReservedHeader + "topic"
	HeaderPartition = topic.ReservedHeader + "partition"
	HeaderOffset    = topic.ReservedHeader + "offset"
	HeaderAttempt   = topic.ReservedHeader + "attempt"
	// HeaderTime is when the message was given up, as RFC 3339 with milliseconds, in UTC.
	HeaderTime = topic.ReservedHeader + "time"
)

// deadLetterSuffix ends the name of a dead-letter topic.
const deadLetterSuffix = ".dead-letter"

// maxReason bounds the reason in a dead letter.
const maxReason = 1 << 10

// DeadLetterTopic returns the topic of a function's dead letters.
func DeadLetterTopic(function string) *topic.Spec {
	return topic.New(function+deadLetterSuffix, format.Bytes(), format.Bytes()).Spec()
}

// deadLetter returns the record that keeps a message which a function cannot be applied to.
func deadLetter(function string, in *Input, attempt int, reason error, now time.Time) Output {
	headers := make(topic.Headers, 0, len(in.Headers)+7)
	for _, h := range in.Headers {
		if !strings.HasPrefix(h.Key, topic.ReservedHeader) {
			headers = append(headers, h)
		}
	}
	add := func(key, value string) { headers = append(headers, topic.Header{Key: key, Value: []byte(value)}) }
	add(HeaderReason, cutText(reason.Error(), maxReason))
	add(HeaderFunction, function)
	add(HeaderTopic, in.Topic)
	add(HeaderPartition, strconv.Itoa(int(in.Partition)))
	add(HeaderOffset, strconv.FormatInt(in.Offset, 10))
	add(HeaderAttempt, strconv.Itoa(attempt))
	add(HeaderTime, now.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	return Output{Key: in.Key, Value: in.Value, Headers: headers, Timestamp: in.Timestamp.UnixMilli()}
}

// cutText returns text as valid UTF-8 of at most n bytes.
func cutText(text string, n int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// attemptsOf returns how often the function was applied to a message before it became this dead letter.
func attemptsOf(in *Input) int {
	value, _ := in.Headers.Last(HeaderAttempt)
	n, _ := strconv.Atoi(string(value))
	return max(0, n)
}

// revive makes a dead letter the message that it was when the function was first applied to it.
func revive(in *Input) {
	headers := make(topic.Headers, 0, len(in.Headers))
	for _, h := range in.Headers {
		switch h.Key {
		case HeaderTopic:
			in.Topic = string(h.Value)
		case HeaderPartition:
			if n, err := strconv.ParseInt(string(h.Value), 10, 32); err == nil {
				in.Partition = int32(n)
			}
		case HeaderOffset:
			if n, err := strconv.ParseInt(string(h.Value), 10, 64); err == nil {
				in.Offset = n
			}
		}
		if !strings.HasPrefix(h.Key, topic.ReservedHeader) {
			headers = append(headers, h)
		}
	}
	in.Headers = headers
}
