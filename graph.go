package flows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kappaflows/flows/runtime"
)

// Graph is an app as data: which function reads and writes what. It marshals to the JSON of /topology.
type Graph struct {
	Functions []GraphFunction `json:"functions"`
	Topics    []GraphTopic    `json:"topics"`
	Tables    []GraphTable    `json:"tables"`
}

// GraphFunction is a function in a Graph; its inputs, outputs and table are names.
type GraphFunction struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`
	Delivery string   `json:"delivery"`
	Inputs   []string `json:"inputs"`
	Outputs  []string `json:"outputs"`
	Table    string   `json:"table,omitempty"`
	// Route is the method and path of the requests that a router takes.
	Route string `json:"route,omitempty"`
}

// GraphTopic is a topic in a Graph, with the formats of its keys and values.
type GraphTopic struct {
	Name  string `json:"name"`
	Key   string `json:"key"`
	Value string `json:"value"`
	// Partitions is how many the declaration asks for; 0 where it leaves that open.
	Partitions int32 `json:"partitions,omitempty"`
	Compacted  bool  `json:"compacted,omitempty"`
}

// GraphTable is a table in a Graph.
type GraphTable struct {
	Name     string `json:"name"`
	Function string `json:"function"`
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
	for _, f := range functions {
		node := GraphFunction{
			Name: f.Name, Kind: f.Kind, Delivery: f.Options.Delivery.String(), Inputs: []string{}, Outputs: []string{},
		}
		if f.Route != nil {
			node.Route = f.Route.String()
		}
		for _, spec := range f.Inputs {
			node.Inputs = append(node.Inputs, spec.Name)
		}
		for _, spec := range f.Outputs {
			node.Outputs = append(node.Outputs, spec.Name)
		}
		if f.State != nil {
			node.Table = f.State.Table.Name
			g.Tables = append(g.Tables, GraphTable{Name: f.State.Table.Name, Function: f.Name})
		}
		g.Functions = append(g.Functions, node)
	}
	for _, spec := range specsOf(functions) {
		g.Topics = append(g.Topics, GraphTopic{
			Name: spec.Name, Key: spec.KeyFormat, Value: spec.ValueFormat, Partitions: spec.Partitions, Compacted: spec.Compacted,
		})
	}
	return g
}

// Mermaid returns the graph as a flowchart in Mermaid's language: topics are rounded, functions are boxes, tables are
// cylinders and routes are flags.
func (g Graph) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for i, t := range g.Topics {
		fmt.Fprintf(&b, "  topic%d([\"%s<br/>%s, %s\"])\n", i, mermaidText(t.Name), mermaidText(t.Key), mermaidText(t.Value))
	}
	for i, f := range g.Functions {
		fmt.Fprintf(&b, "  function%d[\"%s<br/>%s\"]\n", i, mermaidText(f.Name), mermaidText(f.Kind))
	}
	for i, t := range g.Tables {
		fmt.Fprintf(&b, "  table%d[(\"%s\")]\n", i, mermaidText(t.Name))
	}
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
	}
	return b.String()
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
