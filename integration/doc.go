// Package integration holds tests that run the real programs against a real Kafka broker and a real Postgres server, kill
// them, and hold what they leave behind against an oracle. The oracle reads topics with another client than the programs
// use and counts for itself. There is no code here but tests.
package integration
