package runtime_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/memory"
	"github.com/kappaflows/flows/topic"
)

func TestOwnTopicsAreCreatedLikeWhatEndsUpInThem(t *testing.T) {
	log := memory.NewLog()
	require.NoError(t, log.Create(t.Context(), []runtime.NewTopic{
		{Name: "words", Partitions: 3, MaxMessageBytes: 5000}, {Name: "more", Partitions: 5, MaxMessageBytes: 3000},
	}))
	spec := func(name string, options ...topic.Option) *topic.Spec {
		return topic.New(name, format.Bytes(), format.Bytes(), options...).Spec()
	}
	first, second := &runtime.Function{Name: "first"}, &runtime.Function{Name: "second"}
	wide := runtime.OwnTopic{Spec: spec("wide"), Like: []*topic.Spec{spec("words"), spec("more")}}
	// What is like a topic that another function has comes after it, wherever it is listed.
	first.Own = []runtime.OwnTopic{{Spec: spec("later"), Like: []*topic.Spec{spec("wide")}}}
	second.Own = []runtime.OwnTopic{wide, {Spec: spec("counted", topic.Partitions(7)), Like: []*topic.Spec{spec("more")}}}
	second.Inputs, second.DeadLetter = []*topic.Spec{spec("words")}, runtime.DeadLetterTopic("second")

	for range 2 { // the second time there is nothing to do
		require.NoError(t, runtime.CreateOwnTopics(t.Context(), log, 0, first, second))
	}
	for name, want := range map[string]runtime.TopicInfo{
		"wide":               {Partitions: 5, MaxMessageBytes: 5000 + runtime.OwnTopicRoom},
		"later":              {Partitions: 5, MaxMessageBytes: 5000 + 2*runtime.OwnTopicRoom},
		"counted":            {Partitions: 7, MaxMessageBytes: 3000 + runtime.OwnTopicRoom},
		"second.dead-letter": {Partitions: 3, MaxMessageBytes: 5000 + runtime.OwnTopicRoom},
	} {
		info, err := log.Describe(t.Context(), name)
		require.NoError(t, err)
		require.Equal(t, want.Partitions, info.Partitions, name)
		require.Equal(t, want.MaxMessageBytes, info.MaxMessageBytes, name)
	}
}

func TestOwnTopicsNeedWhatTheyAreMadeLike(t *testing.T) {
	f := &runtime.Function{Name: "count", Inputs: []*topic.Spec{words.Spec()}, DeadLetter: runtime.DeadLetterTopic("count")}
	err := runtime.CreateOwnTopics(t.Context(), memory.NewLog(), 0, f)
	require.ErrorIs(t, err, runtime.ErrUnknownTopic)
	require.ErrorContains(t, err, "topic words")
}
