package topic

// Partitioner places a key among n partitions; it returns a number from 0 to n-1 and depends on nothing else.
type Partitioner func(key []byte, n int32) int32

// Murmur2 places a key as Kafka's Java clients, franz-go and librdkafka's murmur2_random do: the murmur2 hash with
// Kafka's seed, its sign bit cleared, modulo n (org.apache.kafka.common.utils.Utils).
func Murmur2(key []byte, n int32) int32 { return int32(murmur2(key)&0x7fffffff) % n }

func murmur2(data []byte) uint32 {
	const (
		seed uint32 = 0x9747b28c
		m    uint32 = 0x5bd1e995
		r           = 24
	)
	h := seed ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h = h*m ^ k
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(data[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
