package topic_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/topic"
)

func TestValidateName(t *testing.T) {
	for _, good := range []string{"a", "lines", "A.b_c-9", "...", "__consumer_offsets", strings.Repeat("x", 249)} {
		require.NoError(t, topic.ValidateName(good), good)
	}
	for bad, message := range map[string]string{
		"":                       "topic name is empty",
		".":                      `topic name "." is not allowed`,
		"..":                     `topic name ".." is not allowed`,
		"a b":                    "only a-z, A-Z, 0-9, '.', '_' and '-' are allowed",
		"né":                     "only a-z",
		"a/b":                    "only a-z",
		"a\n":                    `topic name "a\n"`,
		"a\xff":                  "only a-z",
		strings.Repeat("x", 250): "topic name of 250 characters; 249 at most",
	} {
		require.ErrorContains(t, topic.ValidateName(bad), message)
	}
}

func TestSpec(t *testing.T) {
	place := func(key []byte, _ int32) int32 { return int32(len(key)) }
	counts := topic.New("counts", format.String(), format.JSON[int](), topic.Partitions(7), topic.Compacted(), topic.PartitionBy(place))
	spec := counts.Spec()
	require.Empty(t, spec.Validate())
	require.Equal(t, "counts", spec.Name)
	require.Equal(t, "string", spec.KeyFormat)
	require.Equal(t, format.Text, spec.KeyKind)
	require.Equal(t, "json", spec.ValueFormat)
	require.Equal(t, format.Document, spec.ValueKind)
	require.Equal(t, int32(7), spec.Partitions)
	require.True(t, spec.Compacted)
	require.Equal(t, int32(3), spec.Place([]byte("abc"), 7, 0))
	require.Equal(t, "string", counts.KeyFormat().Name())
	require.Equal(t, "json", counts.ValueFormat().Name())
	require.Same(t, spec, counts.Spec())
}

func TestValidateReportsEverything(t *testing.T) {
	broken := topic.New[string, string]("a b", nil, nil, topic.Partitions(-1))
	require.Equal(t, []string{
		`topic name "a b": only a-z, A-Z, 0-9, '.', '_' and '-' are allowed`,
		`topic "a b" has no key format`,
		`topic "a b" has no value format`,
		`topic "a b": -1 partitions; it takes one or more`,
	}, broken.Spec().Validate())
}

func TestListSpecs(t *testing.T) {
	words := topic.New("words", format.String(), format.String())
	numbers := topic.New("numbers", format.Int64(), format.Bytes())
	var none *topic.Topic[string, string]
	require.Equal(t, []*topic.Spec{words.Spec(), numbers.Spec(), nil, nil}, topic.List{words, numbers, none, nil}.Specs())
	require.Empty(t, topic.List(nil).Specs())
}
