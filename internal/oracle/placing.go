package oracle

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Placing judges where records are: those of a key must be in one partition of their topic, the one that the default
// partitioner of Kafka's clients gives the key. Records without a key may be anywhere.
type Placing struct {
	records int
	wrong   map[string]Faults
}

// Record tells of a record of a topic that has so many partitions.
func (p *Placing) Record(r *kgo.Record, partitions int) {
	if r.Key == nil {
		return
	}
	p.records++
	// It has no state, and hashes keys as Kafka does.
	if due := kgo.StickyKeyPartitioner(nil).ForTopic(r.Topic).Partition(r, partitions); due != int(r.Partition) {
		if p.wrong == nil {
			p.wrong = map[string]Faults{}
		}
		place := fmt.Sprintf("%s of topic %s in partition %d, not %d", r.Key, r.Topic, r.Partition, due)
		p.wrong[place] = p.wrong[place].plus(Faults{Wrong: 1})
	}
}

// Report says what is wrong, once everything is told.
func (p *Placing) Report() Report {
	r := newReport(p.records, p.records)
	for place, faults := range p.wrong {
		r.add(place, faults)
	}
	return r
}

// written calls visit for every record of a topic that programs write, as Each does, and judges where they are.
func (o Oracle) written(ctx context.Context, topic string, places *Placing, visit func(*kgo.Record)) error {
	partitions, err := o.partitions(ctx, topic)
	if err != nil {
		return err
	}
	return o.Each(ctx, topic, func(r *kgo.Record) {
		places.Record(r, partitions)
		visit(r)
	})
}
