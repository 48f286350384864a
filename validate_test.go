package flows_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows"
	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/topic"
)

func TestEverythingThatIsWrongIsSaidAtOnce(t *testing.T) {
	nameless := splitConfig
	nameless.Name = ""
	nameless.Function = nil
	again := countConfig
	again.Name = "again"
	otherWords := topic.New("words", format.String(), format.Int64())
	other := splitConfig
	other.Name = "other"
	other.Outputs = topic.List{otherWords}

	err := flows.New(splitConfig, nil, splitConfig, countConfig, again, nameless, other).Validate()
	var invalid *flows.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.ElementsMatch(t, []string{
		`function 2 of 7 is nil`,
		`stateless function "": Name: a function needs a name`,
		`stateless function "": Function: a function needs one`,
		`stateless function "split": Name: another function has this name`,
		`stateful function "again": Table: "word_count" is the table of function "count"`,
		`stateless function "other": Outputs: topic "words" has value format int64 here but string in function "split"`,
	}, invalid.Problems)
}

func TestTopicsDeclaredWithDifferentNumbersOfPartitions(t *testing.T) {
	narrow, wide := splitConfig, splitConfig
	narrow.Outputs = topic.List{topic.New("words", format.String(), format.String(), topic.Partitions(2))}
	wide.Name = "wide"
	wide.Outputs = topic.List{topic.New("words", format.String(), format.String(), topic.Partitions(3), topic.Compacted())}
	require.EqualError(t, flows.New(narrow, wide).Validate(),
		`stateless function "wide": Outputs: topic "words" has compaction true here but false in function "split"; `+
			`stateless function "wide": Outputs: topic "words" has partitions 3 here but 2 in function "split"`)
	open := splitConfig
	open.Name = "open"
	require.NoError(t, flows.New(narrow, open).Validate(), "a declaration that leaves the number open goes with any")
}

func TestAnAppWithoutFunctions(t *testing.T) {
	require.EqualError(t, flows.New().Validate(), "the app has no functions")
}

func TestCommandsNeedNamesOfTheirOwn(t *testing.T) {
	run := func(context.Context, *flows.Invocation) error { return nil }
	err := flows.New(splitConfig).With(
		flows.Command{Name: "run", Run: run}, flows.Command{Name: "demo", Run: run}, flows.Command{Name: "demo", Run: run},
		flows.Command{Name: "two words", Run: run}, flows.Command{Name: "empty"},
		flows.Command{Name: "flagged", Run: run, Flags: struct{}{}},
	).Validate()
	require.EqualError(t, err, `command "run": there is another command of this name; `+
		`command "demo": there is another command of this name; `+
		`command "two words": it needs a name of one word, and Run; command "empty": it needs a name of one word, and Run; `+
		`command "flagged": Flags is no pointer to a struct`)
}

func TestAnInvalidAppConnectsToNothing(t *testing.T) {
	p := &program{app: flows.New(splitConfig, splitConfig).On(nil, nil)}
	for _, args := range [][]string{
		{"run"}, {"list"}, {"graph"}, {"topics", "create"}, {"produce", "lines"}, {"listen", "lines"},
	} {
		status, stdout, stderr := p.run(t, args...)
		require.Equal(t, 1, status, args)
		require.Empty(t, stdout)
		require.Equal(t, name()+`: stateless function "split": Name: another function has this name`+"\n", stderr)
	}
}

func TestGraphIsData(t *testing.T) {
	compacted := splitConfig
	compacted.Outputs = topic.List{topic.New("words", format.String(), format.String(), topic.Partitions(8), topic.Compacted())}
	graph, err := flows.New(compacted).Graph()
	require.NoError(t, err)
	text, err := json.Marshal(graph)
	require.NoError(t, err)
	require.JSONEq(t, `{
		"functions": [{"name": "split", "kind": "stateless", "delivery": "exactly once", "inputs": ["lines"], "outputs": ["words"]}],
		"topics": [
			{"name": "lines", "key": "string", "value": "string"},
			{"name": "words", "key": "string", "value": "string", "partitions": 8, "compacted": true}
		],
		"tables": []
	}`, string(text))
}

func TestMermaidIsEscaped(t *testing.T) {
	graph := flows.Graph{
		Functions: []flows.GraphFunction{{Name: `a"]; click`, Kind: "<b>&#x"}},
		Topics:    []flows.GraphTopic{{Name: "t", Key: "proto `X`\n", Value: `back\slash`}},
	}
	require.Equal(t, "flowchart LR\n"+
		"  topic0([\"t<br/>proto #96;X#96;#10;, back#92;slash\"])\n"+
		"  function0[\"a#34;]#59; click<br/>#60;b#62;#38;#35;x\"]\n", graph.Mermaid())
}
