// Package metrics counts what an engine does and shows it to Prometheus.
//
// A Collector is the engine's runtime.Observer on one side and a registry of its own on the other; nothing is
// registered globally. It counts a batch at a time, so its cost does not grow with the messages. It serves no port: the
// handler that it returns is mounted by whoever does.
package metrics

import (
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kappaflows/flows/runtime"
)

// Config says what a Collector looks at besides what it hears.
type Config struct {
	// Status is asked at each scrape for the lag and the phases of the partitions that this process has; partitions
	// that it gave back are gone from the next scrape. nil leaves these metrics out.
	Status func() []runtime.Status
}

// Collector is a runtime.Observer that counts for Prometheus. It is safe for use by many goroutines.
type Collector struct {
	registry *prometheus.Registry
	vectors  vectors
	requests *requests

	inputs sync.Map // inputLabels -> *inputSeries
	events sync.Map // function -> *eventSeries
}

var _ runtime.Observer = (*Collector)(nil)

// New returns a collector with the metrics of the Go runtime and of the process beside its own.
func New(config Config) *Collector {
	c := &Collector{registry: prometheus.NewRegistry(), vectors: newVectors(), requests: newRequests()}
	c.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	c.registry.MustRegister(c.vectors.all()...)
	c.registry.MustRegister(c.requests.all()...)
	if config.Status != nil {
		c.registry.MustRegister(statusCollector{status: config.Status})
	}
	return c
}

// Registry returns the registry, for metrics of the app's own.
func (c *Collector) Registry() *prometheus.Registry { return c.registry }

// Handler serves the metrics in the formats that Prometheus scrapes.
func (c *Collector) Handler() http.Handler {
	return promhttp.HandlerFor(c.registry, promhttp.HandlerOpts{Registry: c.registry})
}

// BatchDone implements runtime.Observer.
func (c *Collector) BatchDone(function string, partition runtime.TopicPartition, batch runtime.BatchStats) {
	c.input(function, partition.Topic).observe(batch)
}

// Happened implements runtime.Observer.
func (c *Collector) Happened(function string, _ runtime.TopicPartition, event runtime.Event, n int) {
	if event < runtime.EventCount {
		c.event(function)[event].Add(float64(n))
	}
}

// inputLabels tell the series of one input topic of one function from others.
type inputLabels struct{ function, topic string }

func (c *Collector) input(function, topic string) *inputSeries {
	labels := inputLabels{function, topic}
	if s, ok := c.inputs.Load(labels); ok {
		return s.(*inputSeries)
	}
	s, _ := c.inputs.LoadOrStore(labels, c.vectors.inputSeries(labels))
	return s.(*inputSeries)
}

// eventSeries are the counters of a function's events, all there from the start so that a rate over them works.
type eventSeries [runtime.EventCount]prometheus.Counter

func (c *Collector) event(function string) *eventSeries {
	if s, ok := c.events.Load(function); ok {
		return s.(*eventSeries)
	}
	series := new(eventSeries)
	for event := range runtime.EventCount {
		series[event] = c.vectors.events.WithLabelValues(function, event.String())
	}
	s, _ := c.events.LoadOrStore(function, series)
	return s.(*eventSeries)
}
