package oracle

import (
	"bytes"
	"context"
	"encoding/json"
	"hash/fnv"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Requests judges a topic that requests come into, each with an id of its own: of one that was answered there must be one
// record, with what was sent and where the answer said, and of one that was not there may be one at most. Records with
// other ids are not its own. Everything is told before the first record; of a request it keeps no more than a number.
type Requests struct {
	requests map[string]*request
	records  int
}

// request is what is known of one request.
type request struct {
	// content stands for what was sent.
	content  uint64
	answered bool
	// at is where the answer says that the record is; empty where it does not say.
	at     string
	times  int
	faults Faults
}

// Sent tells of a request that is made, perhaps not for the first time.
func (r *Requests) Sent(id string, content []byte) {
	if r.requests == nil {
		r.requests = map[string]*request{}
	}
	if r.requests[id] == nil {
		r.requests[id] = &request{content: digest(content)}
	}
}

// Answered tells that a request was taken, and at which offset of which partition; an offset below zero is not known.
func (r *Requests) Answered(id string, partition int32, offset int64) {
	sent := r.requests[id]
	sent.answered = true
	if offset >= 0 {
		sent.at = position(partition, offset)
	}
}

// Record tells of a record.
func (r *Requests) Record(id string, content []byte, partition int32, offset int64) {
	sent := r.requests[id]
	if sent == nil {
		return
	}
	r.records++
	switch sent.times++; {
	case sent.times > 1:
		sent.faults.Doubled++
	case sent.content != digest(content), sent.at != "" && sent.at != position(partition, offset):
		sent.faults.Wrong++
	}
}

// forget forgets the records.
func (r *Requests) forget() {
	r.records = 0
	for _, sent := range r.requests {
		sent.times, sent.faults = 0, Faults{}
	}
}

// Report says what is wrong, once everything is told.
func (r *Requests) Report() Report {
	report := newReport(len(r.requests), r.records)
	for id, sent := range r.requests {
		faults := sent.faults
		if sent.answered && sent.times == 0 {
			faults.Lost++
		}
		report.add(id, faults)
	}
	return report
}

// Requests holds the orders that were sent by HTTP against the topic that they go into. Those that came there by another
// way are the shop's business. It may be asked more than once.
func (o Oracle) Requests(ctx context.Context, sent *Requests) (Report, error) {
	sent.forget()
	err := o.Each(ctx, "orders", func(r *kgo.Record) { sent.Record(string(r.Key), plain(r.Value), r.Partition, r.Offset) })
	return sent.Report(), err
}

// plain is an order as this package writes it; what is none stays as it is.
func plain(data []byte) []byte {
	var order ShopOrder
	if strictly(data, &order) != nil {
		return data
	}
	encoded, err := json.Marshal(order)
	if err != nil {
		return data
	}
	return encoded
}

// strictly reads JSON that must have nothing which is not known.
func strictly(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	// What comes behind it is an error, too.
	return json.Unmarshal(data, new(json.RawMessage))
}

func digest(data []byte) uint64 {
	sum := fnv.New64a()
	sum.Write(data)
	return sum.Sum64()
}

func position(partition int32, offset int64) string {
	return strconv.Itoa(int(partition)) + "/" + strconv.FormatInt(offset, 10)
}
