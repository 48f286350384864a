package mutation

import "time"

// mutant is a bug below the engine, or in a part of it that the simulation does not show, and the test that finds it.
type mutant struct {
	bug string
	// in is the folder of the package whose test finds it, and said what the test then says.
	in, test, said string
	edits          []Edit
	// limit is when the test gives up where it waits; 0 is a minute.
	limit time.Duration
}

var mutants = []mutant{
	{
		bug: "a transaction that stands still is not ended",
		in:  "runtime/postgres", test: "TestStoppedProcessHoldsNoOneUp", limit: 30 * time.Second,
		said: "the database ends a transaction that stands still",
		edits: []Edit{{
			File:  "runtime/postgres/connect.go",
			Right: `"idle_in_transaction_session_timeout": "10s",`,
			Wrong: `"idle_in_transaction_session_timeout": either(BUG, "0", "10s"),`,
		}},
	},
	{
		bug: "the database takes a commit of an older epoch",
		in:  "runtime/postgres", test: "TestStore/Commit/fence",
		said: "older epoch",
		edits: []Edit{
			{File: "runtime/postgres/checkpoint.go", Right: "const fenceSQL = `", Wrong: "var fenceSQL = `"},
			{File: "runtime/postgres/checkpoint.go", Right: "and epoch = $4\n", Wrong: "and epoch ` + either(BUG, `>`, ``) + `= $4\n"},
		},
	},
	{
		bug: "the database writes over a state of an older version",
		in:  "runtime/postgres", test: "TestStore/States/conflicts leave everything as it was",
		said: "a known row at an older version",
		edits: []Edit{{
			File:  "runtime/postgres/table.go",
			Right: "and t.version = u.version - 1 returning",
			Wrong: "and t.version ` + either(BUG, `<`, ``) + `= u.version - 1 returning",
		}},
	},
	{
		bug: "rows are read without a lock",
		in:  "runtime/postgres", test: "TestStore/CommitLocked/others wait",
		said:  "a row that is locked was written",
		edits: []Edit{{File: "runtime/postgres/table.go", Right: "order by key for update`", Wrong: "order by key ` + either(BUG, ``, `for update`)"}},
	},
	{
		bug: "a connection that breaks is an error for good",
		in:  "runtime/postgres", test: "TestServerRestarts",
		said:  `expected: "unavailable"`,
		edits: []Edit{{File: "runtime/postgres/errors.go", Right: "if refusedTLS(err) {", Wrong: "if refusedTLS(err) || BUG {"}},
	},
	{
		bug: "a connection to a standby is used again",
		in:  "runtime/postgres", test: "TestReadOnlyServer",
		said: "over another connection",
		edits: []Edit{{
			File:  "runtime/postgres/errors.go",
			Right: "case readOnlyTransaction, noPreparedStatement, featureNotSupported:\n\t\treturn true",
			Wrong: "case readOnlyTransaction, noPreparedStatement, featureNotSupported:\n\t\treturn !BUG",
		}},
	},
	{
		bug: "a request takes over a key that is there",
		in:  "runtime/postgres", test: "TestStore/Keys/many at once",
		said: "each key has one first request",
		edits: []Edit{
			{File: "runtime/postgres/keys.go", Right: "const rememberSQL = `", Wrong: "var rememberSQL = `"},
			{File: "runtime/postgres/keys.go", Right: "where k.expires_at <= clock_timestamp()`", Wrong: "where ` + either(BUG, `true`, `k.expires_at <= clock_timestamp()`)"},
		},
	},
	{
		bug: "a broker that does not answer is asked again",
		in:  "runtime/kafka", test: "TestSilence", limit: 30 * time.Second,
		said:  "it is found out that the broker does not answer",
		edits: []Edit{{File: "runtime/kafka/silence.go", Right: "broker != nil && broker.silent {", Wrong: "broker != nil && broker.silent && !BUG {"}},
	},
	{
		bug: "a leader is believed that has a successor",
		in:  "runtime/kafka", test: "TestFormerLeader",
		said:  "one of the others knows a later leader",
		edits: []Edit{{File: "runtime/kafka/inspect.go", Right: "if latest(metadata, partition) > epoch {", Wrong: "if latest(metadata, partition) > epoch && !BUG {"}},
	},
	{
		bug: "a queue takes whatever comes",
		in:  "runtime/kafka", test: "TestQueuesAreBounded",
		said:  "nobody takes what it has",
		edits: []Edit{{File: "runtime/kafka/reader.go", Right: "r.sated = r.queued >= r.limit()", Wrong: "r.sated = r.queued >= r.limit() && !BUG"}},
	},
	{
		bug: "the cache keeps every state",
		in:  "runtime", test: "TestCacheEvictsWhatIsNotUsed",
		said:  "what is not used has to go",
		edits: []Edit{{File: "runtime/cache.go", Right: "c.bytes > limit && tries > 0", Wrong: "c.bytes > limit && tries > 0 && !BUG"}},
	},
	{
		bug: "a batch takes whatever has arrived",
		in:  "runtime", test: "TestLimits",
		said:  "one message fills a batch",
		edits: []Edit{{File: "runtime/processor.go", Right: "if b.stats.InBytes >= most.inputs || b.stats.OutBytes >= most.outputs ||", Wrong: "if !BUG && (b.stats.InBytes >= most.inputs || b.stats.OutBytes >= most.outputs) ||"}},
	},
	{
		bug: "the id of the input topic is not compared",
		in:  "runtime", test: "TestRecreatedTopic",
		said:  "the topic was deleted and created anew since it was last read",
		edits: []Edit{{File: "runtime/claim.go", Right: "} else if c.cp.TopicID != c.info.ID &&", Wrong: "} else if !BUG && c.cp.TopicID != c.info.ID &&"}},
	},
	{
		bug: "the end of the input topic is not compared",
		in:  "runtime", test: "TestShortenedTopic",
		said:  "the engine goes on",
		edits: []Edit{{File: "runtime/claim.go", Right: "if c.next > end {", Wrong: "if c.next > end && !BUG {"}},
	},
	{
		bug: "deleted messages are passed over",
		in:  "runtime", test: "TestDeletedMessages",
		said:  "the engine goes on",
		edits: []Edit{{File: "runtime/claim.go", Right: "if !c.options.SkipDeleted {", Wrong: "if !c.options.SkipDeleted && !BUG {"}},
	},
	{
		bug: "sequences go on behind the last one",
		in:  "runtime", test: "TestSequencesGoRound",
		said: "expected: 0",
		edits: []Edit{{
			File:  "runtime/sequence.go",
			Right: "func advance(s int32, n int) int32 { return",
			Wrong: "func advance(s int32, n int) int32 {\n\tif BUG {\n\t\treturn s + int32(n)\n\t}\n\treturn",
		}},
	},
	{
		bug: "a record batch may be larger than its topic takes",
		in:  "runtime", test: "TestLimits",
		said:  "waited in vain",
		edits: []Edit{{File: "runtime/router.go", Right: "len(records.Bytes)+size <= limit {", Wrong: "len(records.Bytes)+size <= limit || BUG {"}},
	},
	{
		bug: "the offset is marked before the outputs are sent",
		in:  "runtime", test: "TestAtLeastOnceNeedsNoStore",
		said: "waited in vain",
		edits: []Edit{{
			File:  "runtime/send.go",
			Right: "if err := p.deliver(work, b); err != nil {",
			Wrong: "if BUG {\n\t\t\tp.held.Mark(b.next)\n\t\t}\n\t\tif err := p.deliver(work, b); err != nil {",
		}},
	},
	{
		bug: "a side of a join sends its messages twice",
		in:  "join", test: "TestSidesFoldIntoOneState",
		said: "should have 1 item(s), but has 2",
		edits: []Edit{{
			File:  "join/side.go",
			Right: "return topic.Records{record}, nil",
			Wrong: "if BUG {\n\t\t\treturn topic.Records{record, record}, nil\n\t\t}\n\t\treturn topic.Records{record}, nil",
		}},
	},
	{
		bug: "two sides of a join are swapped",
		in:  "join", test: "TestSidesFoldIntoOneState",
		said:  "a payment is folded in by the function of payments",
		edits: []Edit{{File: "join/join.go", Right: "sides[ids[i]] = side.fold", Wrong: "sides[ids[either(BUG, len(ids)-1-i, i)]] = side.fold"}},
	},
	{
		bug: "a request that is made again is sent as another one",
		in:  "runtime/ingress", test: "TestALostAnswer",
		said: "once, having been",
		edits: []Edit{{
			File:  "runtime/ingress/again.go",
			Right: "if err == nil && !found {\n",
			Wrong: "if err == nil && !found {\n\t\tif BUG {\n\t\t\t_, err = r.assign(ctx, &request)\n\t\t\tif err != nil {\n\t\t\t\treturn runtime.Position{}, err\n\t\t\t}\n\t\t}\n",
		}},
	},
	{
		bug: "a lane whose request got no answer is used again",
		in:  "runtime/ingress", test: "TestALostAnswer",
		said: "once, having been",
		edits: []Edit{{
			File:  "runtime/ingress/keyed.go",
			Right: "offset, err := r.send(ctx, request, output)\n\tif err != nil {\n\t\tr.ingress.lanes.drop()\n",
			Wrong: "offset, err := r.send(ctx, request, output)\n\tif err != nil {\n\t\tif BUG {\n\t\t\tr.ingress.lanes.give(taken)\n\t\t} else {\n\t\t\tr.ingress.lanes.drop()\n\t\t}\n",
		}},
	},
	{
		bug: "after a kill the embedded broker knows what it knew at its last clean end",
		in:  "runtime/embedded", test: "TestKilledBrokerKnowsWhatItHas",
		said: "what is there is not appended again",
		edits: []Edit{{
			File:  "runtime/embedded/recovery.go",
			Right: "func markOpen(dir string) error {\n",
			Wrong: "func markOpen(dir string) error {\n\tif BUG {\n\t\treturn nil\n\t}\n",
		}},
	},
	{
		bug: "a batch of the embedded log counts however it was written",
		in:  "runtime/embedded", test: "TestHalfWrittenBatchIsCutOff",
		said: "the batch that was cut off is appended",
		edits: []Edit{{
			File:  "runtime/embedded/segment.go",
			Right: "if _, err := io.ReadFull(reader, buffer); err != nil {\n\t\treturn buffer, err\n\t}\n\tif crc32",
			Wrong: "if _, err := io.ReadFull(reader, buffer); err != nil && !BUG {\n\t\treturn buffer, err\n\t}\n\tif !BUG && crc32",
		}},
	},
}
