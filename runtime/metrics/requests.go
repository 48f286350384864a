package metrics

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// requests count what routers were asked; their labels are bounded by the app's functions and the statuses that it
// answers with.
type requests struct {
	answered *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	series   sync.Map // requestLabels -> *requestSeries
}

type requestLabels struct {
	function string
	status   int
}

type requestSeries struct {
	answered prometheus.Counter
	seconds  prometheus.Observer
}

func newRequests() *requests {
	// From 1 ms to 16 s: a router gives up after 15 s at most.
	times := prometheus.ExponentialBuckets(0.001, 2, 15)
	return &requests{
		answered: counter("flows_http_requests_total", "Requests that a router answered.", "function", "status"),
		seconds:  histogram("flows_http_request_seconds", "Time from a request's headers to its answer.", times, "function"),
	}
}

func (r *requests) all() []prometheus.Collector { return []prometheus.Collector{r.answered, r.seconds} }

func (r *requests) of(labels requestLabels) *requestSeries {
	if s, ok := r.series.Load(labels); ok {
		return s.(*requestSeries)
	}
	s, _ := r.series.LoadOrStore(labels, &requestSeries{
		answered: r.answered.WithLabelValues(labels.function, strconv.Itoa(labels.status)),
		seconds:  r.seconds.WithLabelValues(labels.function),
	})
	return s.(*requestSeries)
}

// RequestDone counts a request that a router answered.
func (c *Collector) RequestDone(function string, status int, took time.Duration) {
	s := c.requests.of(requestLabels{function, status})
	s.answered.Inc()
	s.seconds.Observe(took.Seconds())
}
