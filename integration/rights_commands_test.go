package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestRightsOfCommands runs the commands for people with the functions' rights: some need no more, and the others what the
// page on security documents for them, in that order.
func TestRightsOfCommands(t *testing.T) {
	s, r := newRights(t)
	client := s.oracle.client(t)
	s.allow(r.needed...)
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "words", Key: []byte("\xff"), Value: []byte("bad")}).FirstErr())
	words := produceLines(t, client, 100)
	p := s.start(s.environment(), "run")
	awaitRecords(t, s.oracle, client, p, int64(words))
	awaitTopic(t, s.oracle, client, p, "count.dead-letter", 1)
	p.terminate(t)

	env := append(s.environment(), "LOG_LEVEL=error")
	for _, command := range []string{"lag", "state list count --limit 1", "state get count line", "listen words --from oldest --max 1"} {
		s.run(env, strings.Fields(command)...)
	}
	for i, commands := range [][]string{
		{"dead-letter list count"},
		{"dead-letter retry count --all --yes", "dead-letter drop count --all --yes"},
		{"reset count --yes"},
	} {
		for _, command := range commands {
			s.refused(env, []string{"kafka", "permission denied"}, strings.Fields(command)...)
		}
		s.allow(r.commands[i])
		for _, command := range commands {
			s.run(env, strings.Fields(command)...)
		}
	}
}
