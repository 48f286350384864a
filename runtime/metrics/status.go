package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kappaflows/flows/runtime"
)

var (
	lagRecords = prometheus.NewDesc("flows_lag_records",
		"Messages of a partition that wait to be applied.", []string{"function", "topic", "partition"}, nil)
	partitionPhases = prometheus.NewDesc("flows_partitions",
		"Partitions that this process has, by what it does with them.", []string{"function", "phase"}, nil)
	cacheBytes = prometheus.NewDesc("flows_cache_bytes",
		"About what the states take that a function keeps in memory.", []string{"function"}, nil)
	functionReady = prometheus.NewDesc("flows_function_ready",
		"1 where the function is in its group and all its partitions run.", []string{"function"}, nil)
)

// phases lists every phase, so that a partition that leaves one shows as zero and not as a series that ends.
var phases = []runtime.Phase{runtime.Claiming, runtime.Running, runtime.Retrying, runtime.Draining}

// statusCollector turns the engine's status into gauges when it is scraped.
type statusCollector struct{ status func() []runtime.Status }

func (c statusCollector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- lagRecords
	descriptions <- partitionPhases
	descriptions <- cacheBytes
	descriptions <- functionReady
}

func (c statusCollector) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	for _, s := range c.status() {
		cached := 0
		in := make(map[runtime.Phase]int, len(phases))
		for _, p := range s.Partitions {
			in[p.Phase]++
			cached += p.CacheBytes
			if p.Lag >= 0 {
				gauge(lagRecords, float64(p.Lag), s.Function, p.Topic, strconv.Itoa(int(p.Partition)))
			}
		}
		for _, phase := range phases {
			gauge(partitionPhases, float64(in[phase]), s.Function, phase.String())
		}
		gauge(cacheBytes, float64(cached), s.Function)
		gauge(functionReady, map[bool]float64{true: 1}[s.Ready()], s.Function)
	}
}
