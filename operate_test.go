package flows_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	nethttp "net/http"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/topic"
)

// operated is an app on a log and a store in memory that its commands look at.
type operated struct {
	*program
	log *memory.Log
}

func newOperated(t *testing.T) *operated {
	log := newLog(t)
	return &operated{wordcount(log), log}
}

// process lets the functions apply some words, and a line that is no text.
func (o *operated) process(t *testing.T, words ...string) {
	t.Helper()
	for _, word := range words {
		_, err := o.log.Append("words", 0, runtime.Output{Key: []byte(word), Value: []byte(word)})
		require.NoError(t, err)
	}
	o.whileRunning(t, func() {
		require.Eventually(t, func() bool {
			_, stdout, _ := o.run(t, "lag", "--json")
			return strings.Count(stdout, `"lag":0`) == 4
		}, patience, tick)
	})
}

func (o *operated) whileRunning(t *testing.T, do func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.app.Run(ctx, cluster()) }()
	do()
	cancel()
	if err := <-ended; err != nil {
		require.ErrorIs(t, err, context.Canceled, "what was told to stop before it had begun")
	}
}

// ok runs a command that must succeed and returns what it prints.
func (o *operated) ok(t *testing.T, args ...string) string {
	t.Helper()
	status, stdout, stderr := o.run(t, args...)
	require.Zero(t, status, stderr)
	return stdout
}

func (o *operated) refused(t *testing.T, status int, args ...string) string {
	t.Helper()
	got, stdout, stderr := o.run(t, args...)
	require.Equal(t, status, got, stderr)
	require.Empty(t, stdout)
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	return lines[len(lines)-1]
}

func TestLag(t *testing.T) {
	o := newOperated(t)
	o.process(t, "a", "b")
	_, err := o.log.Append("words", 0, runtime.Output{Key: []byte("c"), Value: []byte("c")})
	require.NoError(t, err)
	require.Regexp(t, `(?m)^FUNCTION +TOPIC +PARTITION +POSITION +END +LAG +UPDATED$`, o.ok(t, "lag"))
	require.Regexp(t, `(?m)^count +words +0 +2 +3 +1 +20\d\d-.*Z$`, o.ok(t, "lag", "count"))
	require.NotContains(t, o.ok(t, "lag", "count"), "lines")
	require.Contains(t, o.refused(t, 2, "lag", "nobody"), `no function is called "nobody"; there are split, count`)
	require.Contains(t, newOperated(t).ok(t, "lag", "split"), " -  ", "never read")
}

func TestStateCommands(t *testing.T) {
	o := newOperated(t)
	o.process(t, "tea", "tea", "toast")
	require.Equal(t, "2\n", o.ok(t, "state", "get", "count", "tea"))
	require.Equal(t, "KEY    STATE\ntea    2\ntoast  1\n", o.ok(t, "state", "list", "count"))
	require.Equal(t, "KEY  STATE\ntea  2\n", o.ok(t, "state", "list", "count", "--prefix=te"))
	require.Equal(t, "KEY  STATE\ntea  2\n", o.ok(t, "state", "list", "count", "--limit=1"))
	require.Regexp(t, `^{"key":"toast","state":"1","version":\d+}\n$`, o.ok(t, "state", "list", "count", "--prefix=to", "--json"))
	require.Contains(t, o.refused(t, 1, "state", "get", "count", "nobody"), "no state")
	require.Contains(t, o.refused(t, 1, "state", "get", "split", "tea"), "it keeps none")
}

func TestResetCommand(t *testing.T) {
	o := newOperated(t)
	o.process(t, "tea", "tea", "toast")
	require.Regexp(t, `about to move 2 positions of function count and delete all states in table word_count, and nobody is there to be asked: say --yes$`,
		o.refused(t, 2, "reset", "count"))
	require.Equal(t, "2\n", o.ok(t, "state", "get", "count", "tea"))
	o.whileRunning(t, func() {
		require.Eventually(t, func() bool {
			status, _, stderr := o.run(t, "reset", "count")
			return status == 1 && strings.Contains(stderr, "the function is running; stop all of its processes first")
		}, patience, tick)
	})
	require.Equal(t, "function count is reset\n", o.ok(t, "reset", "count", "--yes"))
	require.Equal(t, "KEY  STATE\n", o.ok(t, "state", "list", "count"))
	o.process(t)
	require.Equal(t, "2\n", o.ok(t, "state", "get", "count", "tea"))

	o.ok(t, "reset", "count", "--to-offset=words:0=1", "--keep-state", "--yes")
	o.process(t)
	require.Equal(t, "3\n", o.ok(t, "state", "get", "count", "tea"))
	o.ok(t, "reset", "count", "--to-time=2001-01-01T00:00:00Z", "--yes")
	o.process(t)
	require.Equal(t, "KEY  STATE\n", o.ok(t, "state", "list", "count"), "there is no message of that time or later")

	for bad, args := range map[string][]string{
		"can't be used together":   {"--to-offset=words:0=1", "--to-time=1h"},
		"goes with --keep-state":   {"--forget-outputs"},
		"is no position":           {"--to-offset=words=1"},
		"is neither a time":        {"--to-time=yesterday"},
		`no function is called`:    {"--yes", "--keep-state", "nobody"},
		"unexpected argument more": {"count", "more"},
	} {
		if args[0] != "count" && args[len(args)-1] != "nobody" {
			args = append(args, "count")
		}
		require.Contains(t, o.refused(t, 2, append([]string{"reset"}, args...)...), bad)
	}
	require.Contains(t, o.refused(t, 1, "reset", "count", "--to-offset=words:0=99", "--yes"), "the partition goes from 0 to 3")
}

func TestDeadLetterCommands(t *testing.T) {
	o := newOperated(t)
	require.Regexp(t, "^PLACE .*\n$", o.ok(t, "dead-letter", "list", "count"))
	_, err := o.log.Append("words", 1, runtime.Output{Key: []byte("k\xff"), Value: []byte("v\n"), Headers: topic.Headers{{Key: "trace", Value: []byte("7")}}})
	require.NoError(t, err)
	o.process(t, "tea")

	list := o.ok(t, "dead-letter", "list", "count")
	require.Regexp(t, `(?m)^\d:0 +20\d\d-.*Z +1 +words:1=0 +"k\\xff" +.*invalid UTF-8`, list)
	place := list[strings.Index(list, "\n")+1:][:3]
	shown := o.ok(t, "dead-letter", "show", "count", place)
	for _, line := range []string{"reason: ", "given up: ", "message: words:1=0, of ", "header trace: 7\n", `key: "k\xff"`, `value: v\n`} {
		require.Contains(t, shown, line)
	}
	var letter map[string]any
	require.NoError(t, json.Unmarshal([]byte(o.ok(t, "dead-letter", "show", "count", place, "--json")), &letter))
	require.Equal(t, "words", letter["original_topic"])
	require.Equal(t, map[string]any{"text": "v\n"}, letter["value"])
	require.Equal(t, map[string]any{"base64": "a/8="}, letter["key"])

	require.Contains(t, o.refused(t, 2, "dead-letter", "retry", "count"), "say which dead letters")
	require.Contains(t, o.refused(t, 2, "dead-letter", "retry", "count", "--all", "--reason=x", "--yes"), "say which dead letters")
	require.Contains(t, o.refused(t, 2, "dead-letter", "drop", "count", "--all"), "about to drop the only dead letter of function count, and nobody")
	require.Contains(t, o.refused(t, 2, "dead-letter", "list", "count", "--reason=("), "missing closing )")
	require.Contains(t, o.refused(t, 1, "dead-letter", "show", "count", "0:99"), "no such dead letter")
	require.Equal(t, "none of 1 dead letter is chosen\n", o.ok(t, "dead-letter", "drop", "count", "--since=2999-01-01T00:00:00Z"))

	require.Equal(t, "1 dead letter tried again: 0 done, 1 dead again\n", o.ok(t, "dead-letter", "retry", "count", "--offset="+place, "--yes"))
	require.Contains(t, o.refused(t, 1, "dead-letter", "show", "count", place), "no such dead letter")
	require.Equal(t, "1 dead letter dropped\n", o.ok(t, "dead-letter", "drop", "count", "--all", "--yes"))
	require.Equal(t, 1, strings.Count(o.ok(t, "dead-letter", "list", "count"), "\n"))
}

func TestAsking(t *testing.T) {
	for answer, yes := range map[string]bool{"y\n": true, " YES \n": true, "n\n": false, "\n": false, "": false, "yellow\n": false} {
		var asked strings.Builder
		err := flows.Ask(t.Context(), strings.NewReader(answer), &asked, "do it")
		require.Equal(t, "About to do it. Go on? [y/N] ", asked.String())
		if yes {
			require.NoError(t, err, answer)
		} else {
			require.EqualError(t, err, "nothing was done", answer)
		}
	}
}

func TestDeployCommands(t *testing.T) {
	o := newOperated(t)
	compose := o.ok(t, "deploy", "compose", "--name=words", "--services", "--build=.", "--build-arg=EXAMPLE=wordcount", "--replicas=2")
	for _, part := range []string{"\n  count:\n", "\n  split:\n", "\n  kafka:\n", "image: words:latest", "EXAMPLE: wordcount", "replicas: 2", "- /app\n"} {
		require.Contains(t, compose, part)
	}
	manifests := o.ok(t, "deploy", "kubernetes", "--name=words", "--image=registry.example/words:7", "--autoscale=keda")
	for _, part := range []string{"name: words-count\n", "value: memory:9092\n", "kind: ScaledObject\n", "consumerGroup: count\n"} {
		require.Contains(t, manifests, part)
	}
	require.Contains(t, o.refused(t, 2, "deploy", "kubernetes", "--autoscale=magic"), "magic")
	require.Contains(t, o.refused(t, 2, "deploy", "compose", "--replicas=-1"), "it takes one or more")
	require.Contains(t, o.refused(t, 2, "deploy", "compose", "--image=a b"), "is no name of an image")
}

func TestHealthCommand(t *testing.T) {
	status := nethttp.StatusOK
	server := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if r.URL.Path != "/ready" {
			t.Errorf("health asks for %s", r.URL.Path)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"detail":"function count: is not in its group yet"}`))
	}))
	o := newOperated(t)
	addr := "--http-addr=" + strings.TrimPrefix(server.URL, "http://")
	require.Empty(t, o.ok(t, "health", addr))
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	require.Empty(t, o.ok(t, "health", "--http-addr=:"+port))
	status = nethttp.StatusServiceUnavailable
	require.Contains(t, o.refused(t, 1, "health", addr), "not ready: status 503: function count: is not in its group yet")
	server.Close()
	require.Contains(t, o.refused(t, 1, "health", addr), "no answer: ")
	require.Contains(t, o.refused(t, 2, "health"), "HTTP_ADDR is off")
}
