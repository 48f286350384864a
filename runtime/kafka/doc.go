// Package kafka is the runtime.Log on a Kafka cluster, by way of sarama.
//
// What it takes from sarama are connections, requests and the group protocol. Reading and sending are its own: readers
// share a few connections a broker and each has a bounded queue, so that a slow partition holds up no other; record
// batches are sent as they are given, with the identity and the sequence that the engine chose. It keeps no positions
// and decides nothing about delivery; that is the engine's part.
package kafka
