package main

// programs says how each contender is set.
const programs = `## The programs

Each is a process of its own, and has what it needs alone: a consumer group, an output topic, a database. CPU and peak memory are
those of the whole process, starting included, as the kernel counts them; what broker and database use is not in them.

- **flows** has default options unless the part says otherwise: states, checkpoint and pending outputs are in Postgres, one
  transaction a batch, outputs with acks=all. Its time goes from its first batch to the last acknowledged output. **flows-at-least-once**
  needs no database.
- **streams** is Kafka Streams 4.1.0 (benchmark/streams): 2 threads, RocksDB with its changelog, no cache, since every update is
  wanted, a heap of at most 1 GB, max.poll.records 10000, batch.size 256 KiB, compiled before. For throughput linger.ms is 20, for
  latency 0. commit.interval.ms is its default: 100 ms for exactly_once_v2, 30 s for at_least_once, where outputs do not wait
  for a commit; **streams-exactly-once-10ms** commits every 10 ms. With 1000 ms it counted an eighth more messages a second, measured
  apart, of which readers then hear up to a second later. Its time goes from the first message processed to the last, before
  the last commit, which favours it; the warming-up of the JVM is in it, which does not, and is the smaller the more messages there
  are. Latency is measured after five seconds of warming up at the same rate, with a reader of committed messages where it is
  exactly once.
- **sarama** reads each partition in a goroutine and gives outputs to one AsyncProducer: acks=all, no idempotence, Flush.Frequency
  5 ms, Flush.Bytes 512 KiB, Fetch.Default 2 MiB, channels of 10,000. Positions are not kept: it is at least once at best.
  **sarama-in-memory** counts in a map, which a crash loses.
- **franz-go** polls and produces in one client: acks=all, idempotent as it is by default, linger 5 ms, batches of 1 MB,
  no compression. Positions are not kept.
- **psql-copy** is one \copy of as many rows of the same columns, from a file, into a table with the same key.
`
