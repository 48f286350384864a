package ingress

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// destination is the topic of a route, as the log last described it.
type destination struct {
	log    runtime.Log
	clock  runtime.Clock
	spec   *topic.Spec
	spread atomic.Uint32

	mutex   sync.Mutex
	info    runtime.TopicInfo
	checked time.Time
}

// describeEvery is how long a description is good: partitions may be added.
const describeEvery = time.Minute

func (d *destination) describe(ctx context.Context) (runtime.TopicInfo, error) {
	d.mutex.Lock()
	info, fresh := d.info, !d.checked.IsZero() && d.clock.Now().Sub(d.checked) < describeEvery
	d.mutex.Unlock()
	if fresh {
		return info, nil
	}
	err := retry(ctx, d.clock, func() (err error) {
		info, err = d.log.Describe(ctx, d.spec.Name)
		return err
	})
	if err != nil {
		return info, fmt.Errorf("topic %s: %w", d.spec.Name, err)
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.info, d.checked = info, d.clock.Now()
	return info, nil
}

// place returns the partition of a record, or an error where it is too large for the topic.
func (d *destination) place(ctx context.Context, output *runtime.Output) (runtime.TopicPartition, error) {
	info, err := d.describe(ctx)
	if err != nil {
		return runtime.TopicPartition{}, err
	}
	var alone runtime.Records
	if size := alone.Size(output); size > info.MaxMessageBytes-runtime.BatchOverhead {
		return runtime.TopicPartition{}, fmt.Errorf("a record of %d bytes for topic %s: %w", size, d.spec.Name, runtime.ErrTooLarge)
	}
	p := d.spec.Place(output.Key, info.Partitions, d.spread.Add(1))
	if p < 0 || p >= info.Partitions {
		return runtime.TopicPartition{}, fmt.Errorf("the partitioner of topic %s gave %d of %d partitions", d.spec.Name, p, info.Partitions)
	}
	return runtime.TopicPartition{Topic: d.spec.Name, Partition: p}, nil
}
