package runtime_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

func TestCheckReportsEverything(t *testing.T) {
	lines := topic.New("lines", format.String(), format.String()).Spec()
	bad := topic.New[string, string]("bad", format.String(), nil).Spec()
	f := &runtime.Function{
		Name: "a b", Kind: "stateless", Inputs: []*topic.Spec{nil}, Outputs: []*topic.Spec{lines, bad, lines},
		Options: runtime.Options{BatchMessages: -1},
	}
	err := f.Check(runtime.Problem{Field: "Table", Message: "its own"})
	config, ok := errors.AsType[*runtime.ConfigError](err)
	require.True(t, ok)
	require.Equal(t, []string{
		`stateless function "a b": Name: only a-z, A-Z, 0-9, '.', '_' and '-' are allowed`,
		`stateless function "a b": Input: the topic is nil`,
		`stateless function "a b": Outputs: topic "bad" has no value format`,
		`stateless function "a b": Outputs: topic "lines" is listed twice`,
		`stateless function "a b": Table: its own`,
		`stateless function "a b": Options: BatchMessages is negative`,
	}, config.Lines())
	require.Equal(t, strings.Join(config.Lines(), "; "), err.Error())
	require.NotContains(t, err.Error(), "\n")
}

func TestCheckOfNames(t *testing.T) {
	lines := topic.New("lines", format.String(), format.String()).Spec()
	for name, message := range map[string]string{
		"": "needs a name", strings.Repeat("n", 201): "201 characters; 200 at most", "..": "only a-z", "a\nb": "only a-z",
	} {
		f := &runtime.Function{Name: name, Inputs: []*topic.Spec{lines}}
		require.ErrorContains(t, f.Check(), message)
	}
	f := &runtime.Function{Name: strings.Repeat("n", 200), Inputs: []*topic.Spec{lines}}
	require.NoError(t, f.Check())
}
