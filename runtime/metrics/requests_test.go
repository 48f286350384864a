package metrics_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/runtime/metrics"
)

func TestRequestsAreCountedByStatus(t *testing.T) {
	c := metrics.New(metrics.Config{})
	c.RequestDone("accept", 202, 3*time.Millisecond)
	c.RequestDone("accept", 202, 3*time.Millisecond)
	c.RequestDone("accept", 503, 5*time.Second)
	require.NoError(t, testutil.GatherAndCompare(c.Registry(), strings.NewReader(`
# HELP flows_http_requests_total Requests that a router answered.
# TYPE flows_http_requests_total counter
flows_http_requests_total{function="accept",status="202"} 2
flows_http_requests_total{function="accept",status="503"} 1
`), "flows_http_requests_total"))
	count, err := testutil.GatherAndCount(c.Registry(), "flows_http_request_seconds")
	require.NoError(t, err)
	require.Equal(t, 1, count)
}
