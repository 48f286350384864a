package flows

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

const (
	// embeddedPartitions is how many partitions a topic gets on the embedded log, and where nobody says a number.
	embeddedPartitions = 4
	// startTimeout bounds how long the start of an app waits for something that is unavailable.
	startTimeout = 5 * time.Second
)

// topicDefaults are for topics whose declaration leaves these open.
type topicDefaults struct {
	partitions int32
	replicas   int16
}

// createdTopic is what createTopics found or did.
type createdTopic struct {
	runtime.TopicInfo
	created bool
}

// createTopics creates those of the topics that do not exist, and returns what each of them then is.
func createTopics(ctx context.Context, log runtime.Log, specs []*topic.Spec, defaults topicDefaults) ([]createdTopic, error) {
	missing, err := missingTopics(ctx, log, specs)
	if err != nil {
		return nil, err
	}
	created := make(map[string]bool, len(missing))
	var creations []runtime.NewTopic
	for _, spec := range missing {
		creation := runtime.NewTopic{
			Name: spec.Name, Partitions: spec.Partitions, Replicas: defaults.replicas, Compacted: spec.Compacted,
		}
		if creation.Partitions == 0 {
			creation.Partitions = defaults.partitions
		}
		creations = append(creations, creation)
		created[spec.Name] = true
	}
	if len(creations) > 0 {
		err := whenAvailable(ctx, func() error { return log.Create(ctx, creations) })
		if err != nil {
			return nil, fmt.Errorf("cannot create topics: %w", err)
		}
	}
	return describeTopics(ctx, log, specs, created)
}

// createOwnTopics creates those of the functions' own topics that do not exist, and returns what each of them then is.
func createOwnTopics(ctx context.Context, log runtime.Log, functions []*runtime.Function, replicas int16) ([]createdTopic, error) {
	specs := ownSpecs(functions)
	missing, err := missingTopics(ctx, log, specs)
	if err != nil {
		return nil, err
	}
	created := make(map[string]bool, len(missing))
	for _, spec := range missing {
		created[spec.Name] = true
	}
	err = whenAvailable(ctx, func() error { return runtime.CreateOwnTopics(ctx, log, replicas, functions...) })
	if err != nil {
		return nil, fmt.Errorf("cannot create the topics of the functions' own: %w", err)
	}
	return describeTopics(ctx, log, specs, created)
}

func describeTopics(ctx context.Context, log runtime.Log, specs []*topic.Spec, created map[string]bool) ([]createdTopic, error) {
	var all []createdTopic
	for _, spec := range specs {
		info, err := describeTopic(ctx, log, spec.Name, created[spec.Name])
		if err != nil {
			return nil, fmt.Errorf("topic %s: %w", spec.Name, err)
		}
		all = append(all, createdTopic{TopicInfo: info, created: created[spec.Name]})
	}
	return all, nil
}

// describeTopic describes a topic. One that was created just now may take a moment to be known to every broker.
func describeTopic(ctx context.Context, log runtime.Log, name string, created bool) (info runtime.TopicInfo, err error) {
	err = whenAvailable(ctx, func() (err error) {
		info, err = log.Describe(ctx, name)
		if created && errors.Is(err, runtime.ErrUnknownTopic) {
			return fmt.Errorf("%w: %w", runtime.ErrUnavailable, err)
		}
		return err
	})
	return info, err
}

// requireTopics returns an error that names the topics that do not exist, and says how to make them.
func requireTopics(ctx context.Context, log runtime.Log, specs []*topic.Spec) error {
	missing, err := missingTopics(ctx, log, specs)
	if err != nil || len(missing) == 0 {
		return err
	}
	names := make([]string, len(missing))
	for i, spec := range missing {
		names[i] = spec.Name
	}
	subject := "topic " + names[0] + " does not exist: create it"
	if len(names) > 1 {
		subject = "topics " + strings.Join(names, ", ") + " do not exist: create them"
	}
	return fmt.Errorf("%s with '%s topics create': %w", subject, programName(), runtime.ErrUnknownTopic)
}

func missingTopics(ctx context.Context, log runtime.Log, specs []*topic.Spec) (missing []*topic.Spec, _ error) {
	for _, spec := range specs {
		_, err := describeTopic(ctx, log, spec.Name, false)
		switch {
		case errors.Is(err, runtime.ErrUnknownTopic):
			missing = append(missing, spec)
		case err != nil:
			return nil, fmt.Errorf("topic %s: %w", spec.Name, err)
		}
	}
	return missing, nil
}

// whenAvailable calls attempt again while it is unavailable, for as long as the start of an app may wait.
func whenAvailable(ctx context.Context, attempt func() error) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := attempt()
		if err != nil && !errors.Is(err, runtime.ErrUnavailable) {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithMaxElapsedTime(startTimeout))
	return err
}
