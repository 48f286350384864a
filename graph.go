package flows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

// Graph is an app as data: which function reads and writes what. It marshals to the JSON of /topology.
type Graph struct {
	Functions []GraphFunction `json:"functions"`
	Topics    []GraphTopic    `json:"topics"`
	Tables    []GraphTable    `json:"tables"`
}

// GraphFunction is a function in a Graph; its inputs, outputs and tables are names.
type GraphFunction struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`
	Delivery string   `json:"delivery"`
	Inputs   []string `json:"inputs"`
	Outputs  []string `json:"outputs"`
	// Table is the table of its states, and Rows are the tables of rows that it keeps.
	Table string   `json:"table,omitempty"`
	Rows  []string `json:"rows,omitempty"`
	// Route is the method and path of the requests that a router takes.
	Route string `json:"route,omitempty"`
	// PartOf is the function that it is a part of, and runs with: that of a join's side is the join.
	PartOf string `json:"part_of,omitempty"`
}

// tables are the names of all its tables.
func (f GraphFunction) tables() []string {
	if f.Table == "" {
		return f.Rows
	}
	return append([]string{f.Table}, f.Rows...)
}

// GraphTopic is a topic in a Graph, with the formats of its keys and values.
type GraphTopic struct {
	Name  string `json:"name"`
	Key   string `json:"key"`
	Value string `json:"value"`
	// Partitions is how many the declaration asks for; 0 where it leaves that open.
	Partitions int32 `json:"partitions,omitempty"`
	Compacted  bool  `json:"compacted,omitempty"`
	// PartOf is the function that the topic belongs to and that creates it.
	PartOf string `json:"part_of,omitempty"`
}

// GraphTable is a table in a Graph, of states or of rows.
type GraphTable struct {
	Name string `json:"name"`
	// Function is the one that keeps it; the first one where rows are kept by several.
	Function string `json:"function"`
	Rows     bool   `json:"rows,omitempty"`
}

// Graph returns the app as data, or everything that is wrong with it.
func (a *App) Graph() (Graph, error) {
	functions, err := a.compile()
	if err != nil {
		return Graph{}, err
	}
	return graphOf(functions), nil
}

func graphOf(functions []*runtime.Function) Graph {
	// Empty lists, not null, for those who read the JSON.
	g := Graph{Functions: []GraphFunction{}, Topics: []GraphTopic{}, Tables: []GraphTable{}}
	owners := map[string]string{}
	for _, f := range functions {
		g.add(f, "")
		for _, part := range f.Parts {
			g.add(part, f.Name)
		}
		for _, own := range f.Own {
			owners[own.Spec.Name] = f.Name
		}
	}
	for _, spec := range specsOf(withParts(functions)) {
		g.Topics = append(g.Topics, GraphTopic{
			Name: spec.Name, Key: spec.KeyFormat, Value: spec.ValueFormat, Partitions: spec.Partitions, Compacted: spec.Compacted,
			PartOf: owners[spec.Name],
		})
	}
	return g
}

// add puts a function and its tables into the graph.
func (g *Graph) add(f *runtime.Function, partOf string) {
	node := GraphFunction{
		Name: f.Name, Kind: f.Kind, Delivery: f.Options.Delivery.String(), Inputs: namesOf(f.Inputs), Outputs: namesOf(f.Outputs),
		PartOf: partOf,
	}
	if f.Route != nil {
		node.Route = f.Route.String()
	}
	if f.State != nil {
		node.Table = f.State.Table.Name
		g.Tables = append(g.Tables, GraphTable{Name: node.Table, Function: f.Name})
	}
	for _, table := range f.Tables {
		name := rowTableName(table)
		node.Rows = append(node.Rows, name)
		if g.table(name) < 0 {
			g.Tables = append(g.Tables, GraphTable{Name: name, Function: f.Name, Rows: true})
		}
	}
	g.Functions = append(g.Functions, node)
}

func namesOf(specs []*topic.Spec) []string {
	names := make([]string, len(specs))
	for i, spec := range specs {
		names[i] = spec.Name
	}
	return names
}

// Mermaid returns the graph as a flowchart in Mermaid's language: topics are rounded, functions are boxes, tables are
// cylinders and routes are flags; a function and its parts are framed.
func (g Graph) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	g.writeNodes(&b)
	for i, f := range g.Functions {
		if f.Route != "" {
			fmt.Fprintf(&b, "  route%d>\"%s\"] --> function%d\n", i, mermaidText(f.Route), i)
		}
		for _, name := range f.Inputs {
			fmt.Fprintf(&b, "  topic%d --> function%d\n", g.topic(name), i)
		}
		for _, name := range f.Outputs {
			fmt.Fprintf(&b, "  function%d --> topic%d\n", i, g.topic(name))
		}
		if f.Table != "" {
			fmt.Fprintf(&b, "  function%d <--> table%d\n", i, g.table(f.Table))
		}
		for _, name := range f.Rows {
			fmt.Fprintf(&b, "  function%d --> table%d\n", i, g.table(name))
		}
	}
	return b.String()
}

// writeNodes writes what the arrows are between.
func (g Graph) writeNodes(b *strings.Builder) {
	frames := map[string][]string{}
	var framed []string
	node := func(frame, text string) {
		if frame == "" {
			b.WriteString("  " + text + "\n")
			return
		}
		if frames[frame] == nil {
			framed = append(framed, frame)
		}
		frames[frame] = append(frames[frame], text)
	}
	for i, t := range g.Topics {
		node(t.PartOf, fmt.Sprintf("topic%d([\"%s<br/>%s, %s\"])", i, mermaidText(t.Name), mermaidText(t.Key), mermaidText(t.Value)))
	}
	for i, f := range g.Functions {
		node(g.frame(f), fmt.Sprintf("function%d[\"%s<br/>%s\"]", i, mermaidText(f.Name), mermaidText(f.Kind)))
	}
	for i, t := range g.Tables {
		node("", fmt.Sprintf("table%d[(\"%s\")]", i, mermaidText(t.Name)))
	}
	for i, name := range framed {
		fmt.Fprintf(b, "  subgraph frame%d[\"%s\"]\n    %s\n  end\n", i, mermaidText(name), strings.Join(frames[name], "\n    "))
	}
}

// frame returns the name on the frame around a function, empty where there is none.
func (g Graph) frame(f GraphFunction) string {
	if f.PartOf != "" {
		return f.PartOf
	}
	if slices.ContainsFunc(g.Functions, func(part GraphFunction) bool { return part.PartOf == f.Name && f.Name != "" }) {
		return f.Name
	}
	return ""
}

func (g Graph) topic(name string) int {
	return slices.IndexFunc(g.Topics, func(t GraphTopic) bool { return t.Name == name })
}

func (g Graph) table(name string) int {
	return slices.IndexFunc(g.Tables, func(t GraphTable) bool { return t.Name == name })
}

// mermaidText makes text safe inside the quotes of a label: what means something there, or in the HTML made of it,
// becomes an entity in Mermaid's spelling.
func mermaidText(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < ' ' || strings.ContainsRune("\"#<>&`\\;", r):
			fmt.Fprintf(&b, "#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
