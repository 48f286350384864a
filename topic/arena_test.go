package topic_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kappaflows/flows/topic"
)

// Records are views of shared chunks: none may be changed by those made after it, here or in other goroutines.
func TestRecordsStayIntact(t *testing.T) {
	const goroutines, each = 8, 3000
	var tasks sync.WaitGroup
	for g := range goroutines {
		tasks.Go(func() {
			made := make(topic.Records, each)
			key := func(i int) []byte { return fmt.Appendf(nil, "key %d of %d", i, g) }
			value := func(i int) []byte { return bytes.Repeat([]byte{byte(g), byte(i)}, i*i%700) }
			for i := range made {
				made[i] = blobs.Record(key(i), value(i))
			}
			for i := range made {
				if !bytes.Equal(key(i), made[i].Key()) || !bytes.Equal(value(i), made[i].Value()) {
					t.Errorf("record %d of goroutine %d was changed", i, g)
					return
				}
			}
		})
	}
	tasks.Wait()
}

func TestRecordsOfAllSizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.OneOf(
			rapid.IntRange(0, 100), rapid.IntRange(900, 1100), rapid.IntRange(8000, 8400), rapid.IntRange(65_000, 66_000),
		), 1, 60).Draw(t, "sizes")
		made := make(topic.Records, len(sizes))
		fill := func(i int, of byte) []byte { return bytes.Repeat([]byte{byte(i) ^ of}, sizes[i]) }
		for i := range sizes {
			made[i] = blobs.Record(fill(i, 'k'), fill(i, 'v'))
		}
		for i := range sizes {
			if !bytes.Equal(made[i].Key(), fill(i, 'k')) || !bytes.Equal(made[i].Value(), fill(i, 'v')) {
				t.Fatalf("record %d was changed", i)
			}
		}
	})
}

func TestAppendingToAKeyDoesNotReachTheValue(t *testing.T) {
	first, second := blobs.Record([]byte("k"), []byte("value")), blobs.Record([]byte("l"), []byte("other"))
	_ = append(first.Key(), "XXXX"...)
	_ = append(first.Value(), "XXXX"...)
	require.Equal(t, "value", string(first.Value()))
	require.Equal(t, "l", string(second.Key()))
}

func TestBigRecord(t *testing.T) {
	big := strings.Repeat("x", 10<<20)
	r := blobs.Record([]byte("k"), []byte(big))
	require.Equal(t, big, string(r.Value()))
	require.Equal(t, "k", string(r.Key()))
}

func TestRecordAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget at random")
	}
	var sink topic.Record
	for size, want := range map[int]float64{10: 0.01, 100: 0.1, 1000: 0.1, 7000: 0.4} {
		value := bytes.Repeat([]byte("v"), size)
		key := []byte("key")
		const each = 1000
		perRecord := testing.AllocsPerRun(10, func() {
			for range each {
				sink = blobs.Record(key, value)
			}
		}) / each
		require.LessOrEqual(t, perRecord, want, "records of %d bytes", size)
	}
	require.NoError(t, sink.Err())
}

func BenchmarkRecord(b *testing.B) {
	for _, size := range []int{10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			value := bytes.Repeat([]byte("v"), size)
			key := []byte("a key")
			b.ReportAllocs()
			for b.Loop() {
				blobs.Record(key, value)
			}
		})
	}
	b.Run("string-int64", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			counts.Record("a key", 123456)
		}
	})
}
