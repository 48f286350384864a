package openapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/apipb"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/router"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/openapi"
	"github.com/kappaflows/flows/topic"
)

type address struct {
	Street string `json:"street"`
}

type base struct {
	ID     string `json:"id"`
	Hidden string `json:"-"`
}

type page[T any] struct {
	Items []T `json:"items"`
}

type order struct {
	base
	*address
	Street   int                `json:"street"`
	Placed   time.Time          `json:"placed"`
	Takes    time.Duration      `json:"takes"`
	Small    uint8              `json:"small"`
	Price    float64            `json:"price"`
	Quoted   int64              `json:"quoted,string"`
	Lines    []line             `json:"lines"`
	Labels   map[string]*string `json:"labels,omitempty"`
	Ship     *address           `json:"ship"`
	Parent   *order             `json:"parent"`
	Raw      json.RawMessage    `json:"raw"`
	Image    []byte             `json:"image"`
	Any      any                `json:"any"`
	Number   json.Number        `json:"number"`
	Pages    page[line]         `json:"pages"`
	Inline   struct{ A bool }   `json:"inline"`
	Untagged string
	private  string //nolint:unused // it must not show
}

type line struct {
	Product  string `json:"product"`
	Quantity int32  `json:"quantity"`
}

func functions(t *testing.T) []*runtime.Function {
	t.Helper()
	orders := topic.New("orders", format.String(), format.JSON[order]())
	calls := topic.New("calls", format.String(), format.Protobuf[*apipb.Api]())
	var all []*runtime.Function
	for _, c := range []interface {
		Compile() (*runtime.Function, error)
	}{
		router.Config[order, string, order]{
			Name: "accept", Route: "POST /orders", Output: orders, RequireKey: true,
			Function:     func(context.Context, *http.Request, order) (topic.Record, error) { return topic.Record{}, nil },
			Authenticate: func(context.Context, *http.Request) error { return nil },
		},
		router.Config[order, string, order]{
			Name: "replace", Route: "PUT /orders/{order}/{rest...}", Output: orders, AllowUnknownFields: true, Delivery: runtime.AtLeastOnce,
			Function: func(context.Context, *http.Request, order) (topic.Record, error) { return topic.Record{}, nil },
		},
		router.Config[router.NoBody, string, order]{
			Name: "cancel", Route: "DELETE /orders/{order}/{rest...}", Output: orders,
			Function: func(context.Context, *http.Request, router.NoBody) (topic.Record, error) { return topic.Record{}, nil },
		},
		router.Config[*apipb.Api, string, *apipb.Api]{
			Name: "call", Route: "POST /calls", Output: calls,
			Function: func(context.Context, *http.Request, *apipb.Api) (topic.Record, error) { return topic.Record{}, nil },
		},
	} {
		f, err := c.Compile()
		require.NoError(t, err)
		all = append(all, f)
	}
	return append(all, &runtime.Function{Name: "no route"})
}

func document(t *testing.T) []byte {
	t.Helper()
	data, err := json.MarshalIndent(openapi.Document(openapi.Info{Title: "shop", Version: "1.2.3"}, functions(t)), "", "  ")
	require.NoError(t, err)
	return append(data, '\n')
}

// The document as a whole; UPDATE=1 writes it anew.
func TestDocument(t *testing.T) {
	const golden = "testdata/openapi.json"
	got := document(t)
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, got, 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
	for range 20 {
		require.Equal(t, string(got), string(document(t)), "the same each time")
	}
}

// What OpenAPI 3.1 asks of a document of this kind.
func TestDocumentIsOpenAPI(t *testing.T) {
	var d map[string]any
	require.NoError(t, json.Unmarshal(document(t), &d))
	require.Equal(t, "3.1.0", d["openapi"])
	require.Subset(t, keys(d["info"]), []string{"title", "version"})
	ids := map[string]bool{}
	for path, item := range d["paths"].(map[string]any) {
		require.True(t, strings.HasPrefix(path, "/"), path)
		require.NotContains(t, path, "...")
		for method, operation := range item.(map[string]any) {
			require.Contains(t, []string{"post", "put", "patch", "delete"}, method)
			checkOperation(t, path, operation.(map[string]any), ids)
		}
	}
	require.Len(t, ids, 4)
	checkReferences(t, d, d)
}

func checkOperation(t *testing.T, path string, operation map[string]any, ids map[string]bool) {
	t.Helper()
	id := operation["operationId"].(string)
	require.False(t, ids[id], "operation ids are unique")
	ids[id] = true
	inPath := 0
	for _, p := range operation["parameters"].([]any) {
		parameter := p.(map[string]any)
		require.Subset(t, keys(parameter), []string{"name", "in", "required", "schema"})
		if parameter["in"] == "path" {
			inPath++
			require.Equal(t, true, parameter["required"])
			require.Contains(t, path, "{"+parameter["name"].(string)+"}")
		}
	}
	require.Equal(t, strings.Count(path, "{"), inPath, "each wildcard is a parameter")
	if body, has := operation["requestBody"].(map[string]any); has {
		require.NotEmpty(t, body["content"])
	}
	responses := operation["responses"].(map[string]any)
	require.Contains(t, responses, "202")
	for status, r := range responses {
		response := r.(map[string]any)
		require.NotEmpty(t, response["description"], status)
		require.Len(t, response["content"], 1)
	}
}

// checkReferences checks that every $ref leads somewhere and every type is one of JSON Schema's.
func checkReferences(t *testing.T, d map[string]any, node any) {
	t.Helper()
	switch node := node.(type) {
	case []any:
		for _, item := range node {
			checkReferences(t, d, item)
		}
	case map[string]any:
		if reference, is := node["$ref"].(string); is {
			at := any(d)
			for part := range strings.SplitSeq(strings.TrimPrefix(reference, "#/"), "/") {
				at = at.(map[string]any)[part]
				require.NotNil(t, at, reference)
			}
		}
		if kind, is := node["type"].(string); is && node["scheme"] == nil {
			require.Contains(t, []string{"string", "integer", "number", "boolean", "object", "array", "null"}, kind)
		}
		for _, item := range node {
			checkReferences(t, d, item)
		}
	}
}

func keys(of any) (all []string) {
	for key := range of.(map[string]any) {
		all = append(all, key)
	}
	return all
}
