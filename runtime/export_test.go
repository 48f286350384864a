package runtime

// EncodeSequences encodes where the outputs to partitions go on, as Checkpoint.Sequences has it.
func EncodeSequences(next map[TopicPartition]int32) []byte {
	outlets := map[TopicPartition]outlet{}
	for key, sequence := range next {
		outlets[key] = outlet{next: sequence, acked: -1}
	}
	return encodeOutlets(outlets)
}
