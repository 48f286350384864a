package main

import "fmt"

// Names of contenders, as the report has them.
const (
	flows             = "flows"
	flowsExactlyOnce  = "flows-exactly-once"
	flowsAtLeastOnce  = "flows-at-least-once"
	streamsOnce       = "streams-exactly-once"
	streamsOnceQuick  = "streams-exactly-once-10ms"
	streamsLeast      = "streams-at-least-once"
	saramaLoopName    = "sarama"
	saramaInMemory    = "sarama-in-memory"
	franzLoopName     = "franz-go"
	psqlCopy          = "psql-copy"
	flowsInserts      = "flows-inserts"
	flowsNewRows      = "flows-upserts-of-new-rows"
	flowsUpserts      = "flows-upserts"
	flowsStaticMember = "flows-static-member"
)

// Numbers of rows of a state table: few, and as many as the settings say.
const fewStates = 10_000

var throughput = []string{rate, cpu, memory}

// countContenders are who counts, as fast as they can.
var countContenders = []contender{
	{flows, runFlowsTask("count", nil)},
	{streamsOnce, runStreams("count", streamsExactlyOnce)},
	{streamsLeast, runStreams("count", streamsAtLeastOnce)},
	{saramaInMemory, runLoop("in-memory")},
}

// joinContenders join two topics.
var joinContenders = []contender{{flows, runJoin}, {streamsOnce, runStreamsJoin}}

// countPrefix begins the ids of parts that differ only in how messages spread over keys.
const countPrefix = "count-"

func countPart(id, title, shape string, goals ...goal) part {
	return part{
		id: countPrefix + id, title: title, set: func(s *settings) { s.Shape = shape },
		text:       "Each message's key is counted, and each count is an output.",
		contenders: countContenders, goals: goals, columns: throughput,
	}
}

// freshKeys is the share of messages of the part whose keys are all new: every message makes a row.
func freshKeys(s *settings) {
	s.Shape, s.Messages = fresh, s.Messages*2/3
	s.Keys = s.Messages
}

// parts are what a report has.
var parts = []part{
	countPart(uniform, "Count, uniform keys", uniform, atLeast(2.5, flows, streamsOnce), atLeast(0.65, flows, saramaInMemory)),
	countPart(zipf, "Count, zipf keys", zipf, atLeast(5, flows, streamsOnce), atLeast(1.4, flows, saramaInMemory)),
	countPart(hot, "Count, one hot key", hot, atLeast(8, flows, streamsOnce), atLeast(2.2, flows, saramaInMemory)),
	{
		id: countPrefix + fresh, title: "Count, every key new", set: freshKeys,
		text:       "Each message has a key of its own, so that each makes a row of the state table.",
		contenders: countContenders, columns: throughput,
		goals: []goal{{text: "rows of flows", of: entry{flows, 0, rate}, bound: 150_000, unit: "a second"}},
	},
	{
		id: "map", title: "Map", set: setUniform,
		text: "Each message is an output as it is. Nobody copies its bytes first: flows reads and writes them as `format.Borrowed`.",
		contenders: []contender{
			{flowsExactlyOnce, runFlowsTask("map", nil)},
			{flowsAtLeastOnce, runFlowsTask("map", func(t *task) { t.AtLeastOnce = true })},
			{franzLoopName, runLoop("franz-go")},
			{saramaLoopName, runLoop("sarama")},
			{streamsOnce, runStreams("map", streamsExactlyOnce)},
			{streamsLeast, runStreams("map", streamsAtLeastOnce)},
		},
		goals: []goal{
			atLeast(1, flowsAtLeastOnce, franzLoopName), atLeast(2, flowsAtLeastOnce, saramaLoopName),
			atLeast(0.9, flowsExactlyOnce, saramaLoopName), atLeast(2, flowsExactlyOnce, streamsOnce),
		},
		columns: throughput,
	},
	{
		id: "rows", title: "Rows of five columns", set: setUniform,
		text: "Each message is a row of a table: an insert or an upsert of a new one, or an upsert of one of as many as there are keys.",
		contenders: []contender{
			{flowsInserts, runFlowsTask("rows", func(t *task) { t.Insert = true })},
			{flowsNewRows, runFlowsTask("rows", nil)},
			{flowsUpserts, runFlowsTask("rows", func(t *task) { t.Again = true })},
			{psqlCopy, runCopy},
		},
		goals:   []goal{atLeast(0.7, flowsInserts, psqlCopy), atLeast(0.5, flowsUpserts, psqlCopy)},
		columns: throughput,
	},
	{
		id: "join", title: "Join of two topics", set: setUniform,
		text:       "Each message updates its side of a table, and where the other side is there, the two together are an output. The messages are those of both topics.",
		contenders: joinContenders,
		goals:      []goal{atLeast(1.5, flows, streamsOnce)}, columns: throughput,
	},
	{
		id: "join-noise", title: "Join of two topics, of values that do not compress", set: func(s *settings) { s.Shape, s.Noise = uniform, true },
		text:       "The same, with values of random letters. The values of the other parts are all the alphabet, and flows compresses what it keeps of outputs.",
		contenders: joinContenders, columns: throughput, fewer: true,
	},
	latencyPart, latencyRates, partitionsPart, functionsPart, keysPart, batchPart, idlePart,
	// These are the last: what their large table leaves to be tidied up in the database would slow the others down.
	statesPart, recoveryPart,
}

func setUniform(s *settings) { s.Shape = uniform }

var latencyColumns = []string{"p50 ms", "p90 ms", "p99 ms", "p99.9 ms", longest}

var latencyContenders = []contender{
	{flows, runLatency(flowsCounter, false)},
	{streamsOnce, runLatency(streamsCounter(streamsExactlyOnce, 0), true)},
	{streamsOnceQuick, runLatency(streamsCounter(streamsExactlyOnce, 10), true)},
	{streamsLeast, runLatency(streamsCounter(streamsAtLeastOnce, 0), false)},
}

var rates = &sweep{
	name:   "messages/s",
	values: func(settings) []int { return []int{5000, 20_000, 50_000} },
	set:    func(s *settings, rate int) { s.Rate = rate },
}

var latencyPart = part{
	id: "latency", title: "Latency of count", set: setUniform,
	text: "Messages are sent at a fixed rate, whatever becomes of them. The latency of one is the time from when it was meant to be sent until " +
		"its output was read, so that what waits because the program is late counts (there is no coordinated omission). " +
		"What is sent in the first five seconds is not measured.",
	contenders: latencyContenders, columns: latencyColumns, spread: true,
	sizes: func(s settings) string {
		return fmt.Sprintf("%s messages/s for %d s, %s keys, %d partitions.", grouped(float64(s.Rate)), s.Seconds, grouped(float64(s.Keys)), s.Partitions)
	},
	goals: []goal{
		{text: "p50 of flows to streams-exactly-once", of: entry{flows, 0, "p50 ms"}, to: entry{streamsOnce, 0, "p50 ms"}, bound: 0.03, most: true, unit: "times"},
		{text: "p99 of flows to streams-exactly-once", of: entry{flows, 0, "p99 ms"}, to: entry{streamsOnce, 0, "p99 ms"}, bound: 0.06, most: true, unit: "times"},
	},
}

var latencyRates = part{
	id: "latency-rates", title: "Latency of count at rising rates", set: func(s *settings) { s.Shape, s.Seconds = uniform, min(s.Seconds, 10) },
	text:       "The same, at higher rates.",
	contenders: []contender{latencyContenders[0], latencyContenders[1]}, sweep: rates, columns: latencyColumns, spread: true, fewer: true,
	sizes: func(s settings) string {
		return fmt.Sprintf("Each rate for %d s, %s keys, %d partitions.", s.Seconds, grouped(float64(s.Keys)), s.Partitions)
	},
}

var statesPart = part{
	id: "states", title: "Many states", set: smallContainer,
	text: "A count kept in a state of 100 bytes, over all keys of a table that is there already, alike. Set as for a small container: for each " +
		"partition a cache of 1 MiB, so that with many keys nearly every message needs its state read from the database, `QueueBytes` of 256 KiB, " +
		"`BatchBytes` of 512 KiB, and GOMEMLIMIT=140MiB.",
	sweep: &sweep{
		name:   "keys",
		values: func(s settings) []int { return []int{fewStates, s.States} },
		set:    func(s *settings, rows int) { s.States = rows },
	},
	contenders: []contender{{flows, runStates}}, columns: throughput, spread: true,
	sizes: func(s settings) string {
		return fmt.Sprintf("%s messages of %d bytes, %d partitions.", grouped(float64(s.Messages)), s.Size, s.Partitions)
	},
	goals: []goal{
		{text: "peak memory of flows with 10,000,000 keys", of: entry{flows, manyStates, memory}, bound: 150, most: true, unit: "MB"},
		{text: "flows with 10,000,000 keys to 10,000 keys", of: entry{flows, manyStates, rate}, to: entry{flows, fewStates, rate}, bound: 0.4, unit: "times"},
	},
}

// smallContainer sets what bounds memory, unless it is set.
func smallContainer(s *settings) {
	s.Shape, s.Messages = uniform, s.Messages/3
	for knob, bytes := range map[*int]int{&s.Cache: 1 << 20, &s.QueueBytes: 256 << 10, &s.BatchBytes: 512 << 10, &s.MemoryLimit: 140 << 20} {
		if *knob == 0 {
			*knob = bytes
		}
	}
}

// manyStates is how many rows goals are about.
const manyStates = 10_000_000

var openColumns = []string{rate, cpu, memory, goroutines, toKafka, toPostgres, backends}

var partitionsPart = part{
	id: "partitions", title: "Partitions", set: setUniform,
	text: "Count with topics of more partitions, in one process. What is open is counted in the middle of the work.",
	sweep: &sweep{
		name:   "partitions",
		values: func(settings) []int { return []int{1, 4, 16, 64} },
		set:    func(s *settings, n int) { s.Partitions = n },
	},
	contenders: []contender{{flows, runScaled}}, columns: openColumns,
	sizes: func(s settings) string {
		return fmt.Sprintf("%s messages of %d bytes, %s keys.", grouped(float64(s.Messages)), s.Size, grouped(float64(s.Keys)))
	},
	goals: []goal{{text: "flows with 64 partitions to 1", of: entry{flows, 64, rate}, to: entry{flows, 1, rate}, bound: 0.85, unit: "times"}},
}

var functionsPart = part{
	id: "functions", title: "Functions in one process", set: setUniform,
	text: "Count by several functions that share messages and keys: each has a group, a state table and an output topic of its own, and all read one topic. " +
		"Together they do as much as one alone.",
	sweep: &sweep{
		name:   "functions",
		values: func(settings) []int { return []int{1, 5, 20} },
		set:    func(s *settings, n int) { s.Functions = n },
	},
	contenders: []contender{{flows, runScaled}}, columns: openColumns,
	sizes: func(s settings) string {
		return fmt.Sprintf("%s messages of %d bytes, %s keys, %d partitions a topic.", grouped(float64(s.Messages)), s.Size, grouped(float64(s.Keys)), s.Partitions)
	},
	goals: []goal{{text: "flows with 20 functions to 1", of: entry{flows, 20, rate}, to: entry{flows, 1, rate}, bound: 0.85, unit: "times"}},
}

var recoveryPart = part{
	id: "recovery", title: "Back at work after kill -9", set: smallContainer,
	text: "A process that counts over 10,000,000 states, set as before, with messages coming in, is killed, and another is started in its place at once. " +
		"A group gives the partitions of a process that was killed away when its session is over, after ten seconds; a static member " +
		"(`KAFKA_INSTANCE_ID`) gets them back when it returns.",
	contenders: []contender{{flows, runRecovery(false)}, {flowsStaticMember, runRecovery(true)}},
	columns:    []string{backToWork, killToGiven, killToWork}, spread: true,
	sizes: func(s settings) string {
		return fmt.Sprintf("%s states of %d bytes, %s messages/s, %d partitions.", grouped(float64(s.States)), paddedSize, grouped(recoveryRate), s.Partitions)
	},
	goals: []goal{
		{text: "flows, from the assignment to the first batch", of: entry{flows, 0, backToWork}, bound: 1, most: true, unit: "s"},
	},
}

var idlePart = part{
	id: "idle", title: "An idle app", set: setUniform,
	text: "The word count of the examples, both functions in one process with metrics and health, with nothing to do from ten seconds after its start. " +
		"Then it counts 10,000 lines, and its memory is looked at ten seconds later: Go gives back what it has not used for some minutes.",
	contenders: []contender{{flows, runIdle}}, columns: []string{busy, resident, afterWork}, spread: true,
	sizes: func(s settings) string {
		return fmt.Sprintf("Looked at for %d s, %d partitions a topic.", s.Idle, s.Partitions)
	},
	goals: []goal{
		{text: "CPU of an idle app", of: entry{flows, 0, busy}, bound: 1, most: true, unit: "% of a core"},
		{text: "memory of an idle app", of: entry{flows, 0, resident}, bound: 40, most: true, unit: "MB"},
	},
}

var keysPart = part{
	id: "keys", title: "Count by number of keys", set: func(s *settings) { s.Shape, s.Messages = uniform, s.Messages*2/3 },
	text: "Uniform keys.",
	sweep: &sweep{
		name:   "keys",
		values: func(settings) []int { return []int{1000, 10_000, 100_000, 1_000_000} },
		set:    func(s *settings, n int) { s.Keys = n },
	},
	contenders: []contender{countContenders[0], countContenders[1]}, columns: throughput, fewer: true,
}

var batchPart = part{
	id: "batch", title: "Count by size of a batch", set: func(s *settings) { s.Shape, s.Messages = uniform, s.Messages/3 },
	text: "The most messages that a batch may have; 50,000 is the default.",
	sweep: &sweep{
		name:   "messages a batch",
		values: func(settings) []int { return []int{100, 1000, 10_000, 50_000} },
		set:    func(s *settings, n int) { s.Batch = n },
	},
	contenders: []contender{countContenders[0]}, columns: throughput, fewer: true,
}
