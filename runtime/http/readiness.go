package http

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kappaflows/flows/runtime"
)

const (
	// pingTimeout bounds one check of a dependency.
	pingTimeout = 2 * time.Second
	// pingAge is how long an answer is good, so that probes cost the dependencies nothing.
	pingAge = time.Second
)

// Reason says why the app is not ready: a function that does not do its work yet, or a dependency that is away.
type Reason struct {
	Function string `json:"function,omitempty"`
	// Topic, Partition, Phase and Since are of the partition that the function waits for; without a Topic it is not in
	// its group yet.
	Topic     string     `json:"topic,omitempty"`
	Partition *int32     `json:"partition,omitempty"`
	Phase     string     `json:"phase,omitempty"`
	Since     *time.Time `json:"since,omitempty"`

	Dependency string `json:"dependency,omitempty"`
	Reason     string `json:"reason"`
}

func (r Reason) String() string {
	switch {
	case r.Dependency != "":
		return fmt.Sprintf("%s: %s", r.Dependency, r.Reason)
	case r.Topic != "":
		return fmt.Sprintf("function %s, %s/%d: %s", r.Function, r.Topic, *r.Partition, r.Reason)
	default:
		return fmt.Sprintf("function %s: %s", r.Function, r.Reason)
	}
}

func describe(reasons []Reason) string {
	texts := make([]string, len(reasons))
	for i, r := range reasons {
		texts[i] = r.String()
	}
	return strings.Join(texts, "; ")
}

// readiness answers whether the app does its work.
type readiness struct {
	status func() []runtime.Status
	pings  map[string]func(context.Context) error
	clock  runtime.Clock

	mu      sync.Mutex
	away    []Reason // what the last pings said
	checked time.Time
}

func newReadiness(status func() []runtime.Status, pings map[string]func(context.Context) error, clock runtime.Clock) *readiness {
	return &readiness{status: status, pings: pings, clock: clock}
}

// check returns why the app is not ready; nothing where it is.
func (r *readiness) check(ctx context.Context) (reasons []Reason) {
	for _, s := range r.status() {
		reasons = append(reasons, functionReasons(s)...)
	}
	return append(reasons, r.dependencies(ctx)...)
}

func functionReasons(s runtime.Status) (reasons []Reason) {
	if !s.Joined {
		return []Reason{{Function: s.Function, Reason: "is not in its group yet"}}
	}
	for _, p := range s.Partitions {
		if p.Phase == runtime.Running {
			continue
		}
		reason := Reason{
			Function: s.Function, Topic: p.Topic, Partition: &p.Partition, Phase: p.Phase.String(), Reason: p.Reason,
		}
		if !p.Since.IsZero() {
			reason.Since = &p.Since
		}
		reason.Reason = cmp.Or(reason.Reason, reason.Phase)
		reasons = append(reasons, reason)
	}
	return reasons
}

// dependencies pings everything at once, or repeats the last answer while it is good. Requests that come meanwhile wait
// for the same pings; one that gives up does not end them for the others.
func (r *readiness) dependencies(ctx context.Context) []Reason {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.checked.IsZero() && r.clock.Now().Sub(r.checked) < pingAge {
		return r.away
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	names := slices.Sorted(maps.Keys(r.pings))
	errs := make([]error, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() { errs[i] = r.pings[name](ctx) })
	}
	group.Wait()
	r.away = nil
	for i, err := range errs {
		if err != nil {
			r.away = append(r.away, Reason{Dependency: names[i], Reason: err.Error()})
		}
	}
	r.checked = r.clock.Now()
	return r.away
}
