package runtime

import (
	"fmt"
	"strings"

	"github.com/kappaflows/flows/topic"
)

// ConfigError is everything that is wrong with the config of one function, found before anything connects.
type ConfigError struct {
	// Function is the function's name, and Kind its kind; the name may be what is missing.
	Function string
	Kind     string
	Problems []Problem
}

// Problem is one thing that is wrong with a config.
type Problem struct {
	// Field is the config's field as the program spells it.
	Field string
	// Message says what is wrong with it.
	Message string
}

// Error returns all problems on one line.
func (e *ConfigError) Error() string { return strings.Join(e.Lines(), "; ") }

// Lines returns one line a problem; each names the function and the field.
func (e *ConfigError) Lines() []string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = fmt.Sprintf("%s function %q: %s: %s", e.Kind, e.Function, p.Field, p.Message)
	}
	return lines
}

// maxFunctionName is the longest name of a function: short enough that the topics named after it keep Kafka's rules.
const maxFunctionName = 200

// Check reports what is wrong with the function, as a *ConfigError, or nil; where nothing is, it sets what the engine
// derives from the rest. It checks what the kinds have in common;
// further are the problems that the kind found in its own fields.
func (f *Function) Check(further ...Problem) error {
	problems := f.nameProblems()
	problems = append(problems, f.inputProblems()...)
	problems = append(problems, f.outputProblems()...)
	problems = append(problems, further...)
	for _, message := range f.Options.validate() {
		problems = append(problems, Problem{Field: "Options", Message: message})
	}
	if len(problems) == 0 {
		if f.Route == nil && f.Options.Errors.DeadLetters() {
			f.DeadLetter = DeadLetterTopic(f.origin())
		}
		return nil
	}
	return &ConfigError{Function: f.Name, Kind: f.Kind, Problems: problems}
}

func (f *Function) nameProblems() []Problem {
	message := ""
	switch err := topic.ValidateName(f.Name); {
	case f.Name == "":
		message = "a function needs a name"
	case len(f.Name) > maxFunctionName:
		message = fmt.Sprintf("%d characters; %d at most", len(f.Name), maxFunctionName)
	case err != nil:
		message = "only a-z, A-Z, 0-9, '.', '_' and '-' are allowed"
	default:
		return nil
	}
	return []Problem{{Field: "Name", Message: message}}
}

func (f *Function) inputProblems() []Problem {
	if f.Route != nil {
		return nil
	}
	if len(f.Inputs) == 0 {
		return []Problem{{Field: "Input", Message: "a function needs a topic to read"}}
	}
	return topicProblems("Input", f.Inputs)
}

func (f *Function) outputProblems() []Problem { return topicProblems("Outputs", f.Outputs) }

func topicProblems(field string, specs []*topic.Spec) (problems []Problem) {
	seen := make(map[string]bool, len(specs))
	for i, spec := range specs {
		if spec == nil {
			problems = append(problems, Problem{Field: field, Message: nilTopic(i, len(specs))})
			continue
		}
		for _, message := range spec.Validate() {
			problems = append(problems, Problem{Field: field, Message: message})
		}
		if seen[spec.Name] {
			problems = append(problems, Problem{Field: field, Message: fmt.Sprintf("topic %q is listed twice", spec.Name)})
		}
		seen[spec.Name] = true
	}
	return problems
}

func nilTopic(i, n int) string {
	if n == 1 {
		return "the topic is nil"
	}
	return fmt.Sprintf("topic %d of %d is nil", i+1, n)
}
