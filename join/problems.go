package join

import (
	"errors"
	"fmt"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// problems says what is wrong with the fields that only a join has.
func (c Config[K, S]) problems() (problems []runtime.Problem) {
	add := func(field, message string) {
		problems = append(problems, runtime.Problem{Field: field, Message: message})
	}
	if c.Key == nil {
		add("Key", "a join needs a format for its keys")
	}
	if c.State == nil {
		add("State", "a join needs a format for its states")
	}
	if len(c.Sides) == 0 {
		add("Sides", "a join needs topics to join")
	}
	intermediate := c.Intermediate
	if intermediate == "" {
		intermediate = c.Name + intermediateSuffix
	}
	for i, side := range c.Sides {
		switch {
		case side.topic == nil:
			add("Sides", fmt.Sprintf("side %d of %d: the topic is nil; make the side with From", i+1, len(c.Sides)))
			continue
		case side.topic.Borrowed:
			add("Sides", fmt.Sprintf("topic %q has a borrowed format, and a state would keep what is borrowed: read it as bytes", side.topic.Name))
		case side.topic.Name == intermediate:
			add("Sides", fmt.Sprintf("topic %q is the join's own intermediate topic", intermediate))
		}
		if side.key == nil {
			add("Sides", fmt.Sprintf("topic %q has no function for the join's key", side.topic.Name))
		}
		if side.fold == nil {
			add("Sides", fmt.Sprintf("topic %q has no function that folds its messages", side.topic.Name))
		}
	}
	for _, spec := range c.Outputs.Specs() {
		if spec != nil && spec.Name == intermediate {
			add("Outputs", fmt.Sprintf("topic %q is the join's own intermediate topic", intermediate))
		}
	}
	return problems
}

// foldProblems are those of the stateful function, as the join's. What a missing Key, State or Name is the cause of is
// said already.
func (c Config[K, S]) foldProblems(err error) (problems []runtime.Problem) {
	for _, p := range problemsOf(err) {
		switch {
		case p.Field == "State" && c.State == nil, p.Field == "Input" && (c.Key == nil || c.Name == ""):
			continue
		case p.Field == "Input":
			p.Field = "Intermediate"
		}
		problems = append(problems, p)
	}
	return problems
}

// sideProblems are those of a part that the join itself does not have.
func (c Config[K, S]) sideProblems(err error, id string) (problems []runtime.Problem) {
	for _, p := range problemsOf(err) {
		switch p.Field {
		case "Input":
			if id != "" {
				problems = append(problems, runtime.Problem{Field: "Sides", Message: p.Message})
			}
		case "Name":
			if topic.ValidateName(c.Name) != nil {
				continue
			}
			problems = append(problems, runtime.Problem{Field: "Sides", Message: fmt.Sprintf("the name of side %s: %s", id, p.Message)})
		}
	}
	return problems
}

func problemsOf(err error) []runtime.Problem {
	if config, ok := errors.AsType[*runtime.ConfigError](err); ok {
		return config.Problems
	}
	return nil
}
