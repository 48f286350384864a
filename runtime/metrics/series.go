package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kappaflows/flows/runtime"
)

// vectors are the metrics that are counted as the engine reports; their labels are bounded by the app's functions and
// topics.
type vectors struct {
	recordsIn, recordsOut *prometheus.CounterVec
	bytesIn, bytesOut     *prometheus.CounterVec
	hits, misses          *prometheus.CounterVec
	events                *prometheus.CounterVec
	batchRecords          *prometheus.HistogramVec
	batchSeconds          *prometheus.HistogramVec
	latency               *prometheus.HistogramVec
}

func newVectors() vectors {
	// 1, 4, 16, ... 65,536: a batch holds 50,000 messages at most unless told otherwise.
	sizes := prometheus.ExponentialBuckets(1, 4, 9)
	// From 0.1 ms, a stage that did nothing, to 26 s, one that waited for a database that was away.
	stages := prometheus.ExponentialBuckets(0.0001, 4, 10)
	// From 1 ms to 70 minutes: a function that catches up sees the age of what it reads.
	latencies := prometheus.ExponentialBuckets(0.001, 2, 23)
	return vectors{
		recordsIn:  counter("flows_records_in_total", "Messages applied by a function.", "function", "topic"),
		recordsOut: counter("flows_records_out_total", "Records that a function sent and the log acknowledged.", "function", "topic"),
		bytesIn:    counter("flows_bytes_in_total", "Bytes of the messages applied by a function.", "function", "topic"),
		bytesOut:   counter("flows_bytes_out_total", "Bytes of the records that a function sent.", "function", "topic"),
		hits:       counter("flows_cache_hits_total", "Messages whose state was in memory.", "function", "topic"),
		misses:     counter("flows_cache_misses_total", "Keys whose state was loaded from the store.", "function", "topic"),
		events:     counter("flows_events_total", "Rare events, such as fenced commits and state conflicts.", "function", "event"),

		batchRecords: histogram("flows_batch_records", "Messages of a batch.", sizes, "function", "topic"),
		batchSeconds: histogram("flows_batch_seconds", "Time that a batch spent in a stage.", stages, "function", "topic", "stage"),
		latency: histogram("flows_latency_seconds",
			"Time from the timestamp of a batch's first input to the acknowledgement of its outputs.", latencies, "function", "topic"),
	}
}

// The label "topic" of all of these is the input topic.
func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

func (v *vectors) all() []prometheus.Collector {
	return []prometheus.Collector{
		v.recordsIn, v.recordsOut, v.bytesIn, v.bytesOut, v.hits, v.misses, v.events,
		v.batchRecords, v.batchSeconds, v.latency,
	}
}

// inputSeries are the children of the vectors for one input of one function, looked up once: finding a child by its
// labels costs more than counting.
type inputSeries struct {
	recordsIn, recordsOut       prometheus.Counter
	bytesIn, bytesOut           prometheus.Counter
	hits, misses                prometheus.Counter
	batchRecords, latency       prometheus.Observer
	load, compute, commit, send prometheus.Observer
}

func (v *vectors) inputSeries(l inputLabels) *inputSeries {
	stage := func(name string) prometheus.Observer {
		return v.batchSeconds.WithLabelValues(l.function, l.topic, name)
	}
	return &inputSeries{
		recordsIn:    v.recordsIn.WithLabelValues(l.function, l.topic),
		recordsOut:   v.recordsOut.WithLabelValues(l.function, l.topic),
		bytesIn:      v.bytesIn.WithLabelValues(l.function, l.topic),
		bytesOut:     v.bytesOut.WithLabelValues(l.function, l.topic),
		hits:         v.hits.WithLabelValues(l.function, l.topic),
		misses:       v.misses.WithLabelValues(l.function, l.topic),
		batchRecords: v.batchRecords.WithLabelValues(l.function, l.topic),
		latency:      v.latency.WithLabelValues(l.function, l.topic),
		load:         stage("load"),
		compute:      stage("compute"),
		commit:       stage("commit"),
		send:         stage("send"),
	}
}

func (s *inputSeries) observe(batch runtime.BatchStats) {
	s.recordsIn.Add(float64(batch.In))
	s.recordsOut.Add(float64(batch.Out))
	s.bytesIn.Add(float64(batch.InBytes))
	s.bytesOut.Add(float64(batch.OutBytes))
	s.hits.Add(float64(batch.CacheHits))
	s.misses.Add(float64(batch.CacheMisses))
	s.batchRecords.Observe(float64(batch.In))
	// A producer's clock may be ahead of ours.
	s.latency.Observe(max(batch.Latency, 0).Seconds())
	s.load.Observe(batch.Load.Seconds())
	s.compute.Observe(batch.Compute.Seconds())
	s.commit.Observe(batch.Commit.Seconds())
	s.send.Observe(batch.Send.Seconds())
}
