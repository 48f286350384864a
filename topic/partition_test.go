package topic

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kappaflows/flows/format"
)

// The values are those of Kafka's own test of org.apache.kafka.common.utils.Utils.murmur2.
func TestMurmur2IsThatOfJava(t *testing.T) {
	for key, hash := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		require.Equal(t, hash, int32(murmur2([]byte(key))), key)
		require.Equal(t, (hash&0x7fffffff)%7, Murmur2([]byte(key), 7), key)
	}
}

func TestPlace(t *testing.T) {
	spec := New("words", format.Bytes(), format.Bytes()).Spec()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "key")
		n := rapid.Int32Range(1, 1000).Draw(t, "n")
		spread := rapid.Uint32().Draw(t, "spread")
		if p := spec.Place(key, n, spread); p != Murmur2(key, n) || p < 0 || p >= n {
			t.Fatalf("key %q is on partition %d of %d", key, p, n)
		}
		if p := spec.Place(nil, n, spread); p != int32(spread%uint32(n)) {
			t.Fatalf("no key is on partition %d of %d", p, n)
		}
	})
}

func FuzzMurmur2(f *testing.F) {
	f.Add([]byte("abc"), int32(4))
	f.Fuzz(func(t *testing.T, key []byte, n int32) {
		if n < 1 {
			return
		}
		if p := Murmur2(key, n); p < 0 || p >= n {
			t.Fatalf("partition %d of %d", p, n)
		}
	})
}
