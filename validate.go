package flows

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// InvalidError is everything that is wrong with an app, found before anything connects.
type InvalidError struct {
	// Problems has one line a problem; each names the function and the field.
	Problems []string
}

func (e *InvalidError) Error() string { return strings.Join(e.Problems, "; ") }

// Validate reports everything that is wrong with the app, as an *InvalidError, or nil. It connects to nothing.
func (a *App) Validate() error {
	_, err := a.compile()
	return err
}

// compile makes runtime functions of the app's and checks each of them and how they fit together. Parts are in the
// functions that they belong to.
func (a *App) compile() ([]*runtime.Function, error) {
	var functions []*runtime.Function
	var problems []string
	for i, f := range a.functions {
		if f == nil {
			problems = append(problems, fmt.Sprintf("function %d of %d is nil", i+1, len(a.functions)))
			continue
		}
		compiled, err := f.Compile()
		if err != nil {
			problems = append(problems, linesOf(err)...)
			continue
		}
		functions = append(functions, compiled)
	}
	if len(a.functions) == 0 {
		problems = append(problems, "the app has no functions")
	}
	all := withParts(functions)
	problems = append(problems, sharedNames(all)...)
	problems = append(problems, sharedTables(all)...)
	problems = append(problems, sharedRoutes(all)...)
	problems = append(problems, differentTopics(all)...)
	problems = append(problems, a.commandProblems()...)
	if len(problems) > 0 {
		return nil, &InvalidError{Problems: problems}
	}
	return functions, nil
}

func linesOf(err error) []string {
	if config, ok := errors.AsType[*runtime.ConfigError](err); ok {
		return config.Lines()
	}
	return []string{err.Error()}
}

func problem(f *runtime.Function, field, format string, args ...any) string {
	return fmt.Sprintf("%s function %q: %s: ", f.Kind, f.Name, field) + fmt.Sprintf(format, args...)
}

func sharedNames(functions []*runtime.Function) (problems []string) {
	count := map[string]int{}
	for _, f := range functions {
		if count[f.Name]++; count[f.Name] == 2 {
			problems = append(problems, problem(f, "Name", "another function has this name"))
		}
	}
	return problems
}

// sharedTables finds tables of states that something else is in, too. Tables of rows may have several functions.
func sharedTables(functions []*runtime.Function) (problems []string) {
	owners := map[string]*runtime.Function{}
	for _, f := range functions {
		if f.State == nil {
			continue
		}
		if owner, taken := owners[f.State.Table.Name]; taken {
			problems = append(problems, problem(f, "Table", "%q is the table of function %q", f.State.Table.Name, owner.Name))
			continue
		}
		owners[f.State.Table.Name] = f
	}
	for _, f := range functions {
		for _, table := range f.Tables {
			if owner, taken := owners[rowTableName(table)]; taken {
				problems = append(problems, problem(f, "Tables", "%q is the table of function %q's states", rowTableName(table), owner.Name))
			}
		}
	}
	return problems
}

// use is a place where a topic is declared.
type use struct {
	function *runtime.Function
	field    string
	spec     *topic.Spec
}

// uses returns every declaration of a topic, in the order of the functions.
func uses(functions []*runtime.Function) (all []use) {
	for _, f := range functions {
		for _, spec := range f.Inputs {
			all = append(all, use{f, "Input", spec})
		}
		for _, spec := range f.Outputs {
			all = append(all, use{f, "Outputs", spec})
		}
	}
	return all
}

// differentTopics finds topics that two places declare differently: one of them would not understand the other.
func differentTopics(functions []*runtime.Function) (problems []string) {
	first := map[string]use{}
	for _, u := range uses(functions) {
		known, declared := first[u.spec.Name]
		if !declared {
			first[u.spec.Name] = u
			continue
		}
		for _, difference := range differences(u.spec, known.spec) {
			problems = append(problems, problem(u.function, u.field, "topic %q has %s in function %q",
				u.spec.Name, difference, known.function.Name))
		}
	}
	return problems
}

func differences(a, b *topic.Spec) (all []string) {
	if a == b {
		return nil
	}
	compare := func(what string, here, there any) {
		if here != there {
			all = append(all, fmt.Sprintf("%s %v here but %v", what, here, there))
		}
	}
	compare("key format", a.KeyFormat, b.KeyFormat)
	compare("value format", a.ValueFormat, b.ValueFormat)
	compare("compaction", a.Compacted, b.Compacted)
	if a.Partitions != 0 && b.Partitions != 0 {
		compare("partitions", a.Partitions, b.Partitions)
	}
	return all
}

func (a *App) commandProblems() (problems []string) {
	taken := slices.Clone(builtinCommands)
	for _, c := range a.commands {
		switch {
		case c.Name == "" || strings.ContainsAny(c.Name, " -\t\n") || c.Run == nil:
			problems = append(problems, fmt.Sprintf("command %q: it needs a name of one word, and Run", c.Name))
		case c.Flags != nil && !pointsToStruct(c.Flags):
			problems = append(problems, fmt.Sprintf("command %q: Flags is no pointer to a struct", c.Name))
		case slices.Contains(taken, c.Name):
			problems = append(problems, fmt.Sprintf("command %q: there is another command of this name", c.Name))
		}
		taken = append(taken, c.Name)
	}
	return problems
}

func pointsToStruct(v any) bool {
	value := reflect.ValueOf(v)
	return value.Kind() == reflect.Pointer && !value.IsNil() && value.Elem().Kind() == reflect.Struct
}

// specsOf returns the topics that the functions declare, each once, in order of declaration.
func specsOf(functions []*runtime.Function) (specs []*topic.Spec) {
	known := map[string]int{}
	for _, u := range uses(functions) {
		at, declared := known[u.spec.Name]
		switch {
		case !declared:
			known[u.spec.Name] = len(specs)
			specs = append(specs, u.spec)
		case specs[at].Partitions == 0:
			// The place that says how many partitions the topic gets decides for those that don't.
			specs[at] = u.spec
		}
	}
	return specs
}
