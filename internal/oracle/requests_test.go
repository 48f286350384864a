package oracle

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kappaflows/flows/internal/services"
)

func TestRequestsOfATopic(t *testing.T) {
	type record struct {
		id, content string
		offset      int64
	}
	for name, test := range map[string]struct {
		records []record
		want    map[string]Faults
	}{
		"right":                              {[]record{{"a", "1", 7}, {"b", "2", 8}}, nil},
		"the one without an answer is taken": {[]record{{"a", "1", 7}, {"b", "2", 8}, {"c", "3", 9}}, nil},
		"others are there":                   {[]record{{"a", "1", 7}, {"b", "2", 8}, {"d", "", 9}, {"d", "", 10}}, nil},
		"one is lost":                        {[]record{{"a", "1", 7}}, map[string]Faults{"b": {Lost: 1}}},
		"nothing":                            {nil, map[string]Faults{"a": {Lost: 1}, "b": {Lost: 1}}},
		"one twice":                          {[]record{{"a", "1", 7}, {"a", "1", 8}, {"b", "2", 9}}, map[string]Faults{"a": {Doubled: 1}}},
		"the one without an answer twice":    {[]record{{"a", "1", 7}, {"b", "2", 8}, {"c", "3", 9}, {"c", "3", 10}}, map[string]Faults{"c": {Doubled: 1}}},
		"another content":                    {[]record{{"a", "1", 7}, {"b", "3", 8}}, map[string]Faults{"b": {Wrong: 1}}},
		"not where the answer says":          {[]record{{"a", "1", 8}, {"b", "2", 9}}, map[string]Faults{"a": {Wrong: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			var r Requests
			r.Sent("a", []byte("1"))
			r.Sent("a", []byte("1"))
			r.Sent("b", []byte("2"))
			r.Sent("c", []byte("3"))
			r.Answered("a", 0, 7)
			r.Answered("b", 0, -1) // Nobody knows where it is.
			for _, record := range test.records {
				r.Record(record.id, []byte(record.content), 0, record.offset)
			}
			report := r.Report()
			require.Equal(t, 3, report.Inputs)
			if test.want == nil {
				test.want = map[string]Faults{}
			}
			require.Equal(t, test.want, report.Keys)
		})
	}
}

// TestRequests holds orders against a real topic, in which one comes a second time.
func TestRequests(t *testing.T) {
	o := Oracle{Brokers: []string{services.NewBroker(t).Addr()}}
	client, err := o.Client()
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopics(t.Context(), 1, 1, nil, "orders")
	require.NoError(t, err)
	body, err := json.Marshal(ordered)
	require.NoError(t, err)
	produce(t, client, "orders", "0", "broken")
	produce(t, client, "orders", "1", `{"lines": [{"product": "cup", "quantity": 2, "cents": 800}], "customer": "Ada", "id": "1"}`)

	var sent Requests
	sent.Sent("1", body)
	sent.Answered("1", 0, 1)
	judge := func() Report {
		report, err := o.Requests(t.Context(), &sent)
		require.NoError(t, err)
		return report
	}
	require.True(t, judge().Clean(), judge())
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Key: []byte("1"), Value: body}).FirstErr())
	require.Equal(t, map[string]Faults{"1": {Doubled: 1}}, judge().Keys)
}
