package router_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/apipb"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/router"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/problem"
	"github.com/kappaflows/flows/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type line struct {
	Product  string `json:"product"`
	Quantity int    `json:"quantity"`
}

type order struct {
	ID       string         `json:"id"`
	Customer string         `json:"customer"`
	Placed   time.Time      `json:"placed"`
	Lines    []line         `json:"lines"`
	Notes    map[string]any `json:"notes,omitempty"`
}

var orders = topic.New("orders", format.String(), format.JSON[order]())

func accept(_ context.Context, _ *http.Request, o order) (topic.Record, error) {
	return orders.Record(o.ID, o), nil
}

type config = router.Config[order, string, order]

func valid() config {
	return config{Name: "accept", Route: "POST /orders", Output: orders, Function: accept}
}

func TestDefaults(t *testing.T) {
	f, err := valid().Compile()
	require.NoError(t, err)
	require.Equal(t, "router", f.Kind)
	require.Nil(t, f.DeadLetter)
	require.Equal(t, []*topic.Spec{orders.Spec()}, f.Outputs)
	require.Equal(t, "POST /orders", f.Route.String())
	require.EqualValues(t, 1<<20, f.Route.BodyLimit)
	require.Equal(t, 5*time.Second, f.Route.Timeout)
	require.Equal(t, 24*time.Hour, f.Route.KeepKeys)
	require.Equal(t, []string{"application/json"}, f.Route.ContentTypes)
	require.True(t, f.Route.Strict)
}

func TestProblemsOfAConfig(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*config)
		want   string
	}{
		"no name":           {func(c *config) { c.Name = "" }, `router function "": Name: a function needs a name`},
		"no route":          {func(c *config) { c.Route = "" }, `Route: "" is no method and path, such as "POST /orders"`},
		"no method":         {func(c *config) { c.Route = "/orders" }, `Route: "/orders" is no method and path, such as "POST /orders"`},
		"another method":    {func(c *config) { c.Route = "GET /orders" }, `Route: method "GET"; it takes POST, PUT, PATCH, DELETE`},
		"no path":           {func(c *config) { c.Route = "POST /" }, `Route: path "/"; it starts with a slash and has a name`},
		"no slash":          {func(c *config) { c.Route = "POST orders" }, `Route: path "orders"; it starts with a slash and has a name`},
		"two slashes":       {func(c *config) { c.Route = "POST /a//b" }, `Route: path "/a//b" has two slashes in a row`},
		"dots":              {func(c *config) { c.Route = "POST /a/../b" }, `Route: path "/a/../b": ".." is no name`},
		"rest in between":   {func(c *config) { c.Route = "POST /{a...}/b" }, `Route: path "/{a...}/b": a wildcard is {name}, or {name...} at the end`},
		"wildcard twice":    {func(c *config) { c.Route = "POST /{a}/{a}" }, `Route: path "/{a}/{a}" has two wildcards "a"`},
		"wildcard's name":   {func(c *config) { c.Route = "POST /{1a}" }, `Route: path "/{1a}": a wildcard is {name}, or {name...} at the end`},
		"part of a segment": {func(c *config) { c.Route = "POST /a{b}" }, `Route: path "/a{b}": "a{b}"; letters, digits, '-', '.', '_' and '~' are allowed`},
		"no output":         {func(c *config) { c.Output = nil }, `Outputs: the topic is nil`},
		"no function":       {func(c *config) { c.Function = nil }, `Function: a function needs one`},
		"negative limit":    {func(c *config) { c.BodyLimit = -1 }, `BodyLimit: is negative`},
		"long timeout":      {func(c *config) { c.Timeout = time.Minute }, `Timeout: takes 0 to 15s`},
		"negative keep":     {func(c *config) { c.KeepKeys = -1 }, `KeepKeys: is negative`},
		"keys without store": {
			func(c *config) { c.RequireKey, c.Delivery = true, runtime.AtLeastOnce },
			`RequireKey: keys need a database, and at least once has none`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := valid()
			test.change(&c)
			_, err := c.Compile()
			var problems *runtime.ConfigError
			require.ErrorAs(t, err, &problems)
			require.Len(t, problems.Lines(), 1)
			require.Contains(t, problems.Lines()[0], test.want)
		})
	}
}

func TestRoutes(t *testing.T) {
	for _, text := range []string{
		"POST /orders", "PUT /customers/{customer}/orders/{order_2}", "PATCH /files/{path...}", "DELETE /a-b.c_d~e/", "POST /{x}",
	} {
		c := valid()
		c.Route = text
		f, err := c.Compile()
		require.NoError(t, err, text)
		require.Equal(t, text, f.Route.String())
	}
}

func TestShapesOfRoutes(t *testing.T) {
	for pattern, want := range map[string]string{
		"/orders/{order}/{x}": "POST /orders/{}/{}", "/{path...}": "POST /{...}", "/orders/": "POST /orders/",
	} {
		require.Equal(t, want, (&runtime.Route{Method: "POST", Pattern: pattern}).Shape())
	}
}

// decode is what a body becomes, as JSON, or its problem.
func decode(t *testing.T, f *runtime.Function, mediaType, body string) (value string, refused *router.Problem) {
	t.Helper()
	record, err := f.Route.Accept(t.Context(), httptest.NewRequest(http.MethodPost, "/", nil), mediaType, []byte(body))
	if errors.As(err, &refused) {
		return "", refused
	}
	require.NoError(t, err)
	require.NoError(t, record.Err())
	return string(record.Value()), nil
}

func TestDocuments(t *testing.T) {
	f, err := valid().Compile()
	require.NoError(t, err)
	value, refused := decode(t, f, "application/json", ` {"id":"1","lines":[{"product":"é","quantity":2}],"placed":"2026-01-02T03:04:05Z"} `)
	require.Nil(t, refused)
	require.JSONEq(t, `{"id":"1","customer":"","lines":[{"product":"é","quantity":2}],"placed":"2026-01-02T03:04:05Z"}`, value)
}

func TestBadDocuments(t *testing.T) {
	f, err := valid().Compile()
	require.NoError(t, err)
	for name, test := range map[string]struct{ body, field, detail string }{
		"empty":            {"", "", "the body is empty; a JSON document is expected"},
		"spaces":           {" \n", "", "the body is empty; a JSON document is expected"},
		"no JSON":          {"{id}", "", "no JSON document: invalid character 'i' looking for beginning of object key string (at byte 2)"},
		"cut":              {`{"id":`, "", "no JSON document: it ends too early"},
		"something behind": {`{} {}`, "", "there is something behind the JSON document, from byte 2 on"},
		"garbage behind":   {`{} x`, "", "there is something behind the JSON document, from byte 2 on"},
		"invalid UTF-8":    {"{\"id\":\"a\xff\"}", "", "invalid UTF-8 at byte 8"},
		"wrong type":       {`{"id":7}`, "id", `field "id": number where a string is expected, at byte 7`},
		"nested type":      {`{"lines":[{"quantity":"x"}]}`, "lines.quantity", `field "lines.quantity": string where an integer (int) is expected, at byte 25`},
		"a number's range": {`{"lines":[{"quantity":1e99}]}`, "lines.quantity", `field "lines.quantity": number 1e99 where an integer (int) is expected, at byte 26`},
		"a list":           {`[1]`, "", "the document: array where an object is expected, at byte 1"},
		"unknown field":    {`{"idd":"1"}`, "idd", `field "idd" is not known`},
		"own decoder":      {`{"placed":"today"}`, "", `parsing time "today" as "2006-01-02T15:04:05Z07:00": cannot parse "today" as "2006"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, refused := decode(t, f, "application/json", test.body)
			require.NotNil(t, refused)
			require.Equal(t, &router.Problem{Status: 400, Title: "Bad body", Detail: test.detail, Field: test.field}, refused)
		})
	}
}

func TestADeepDocumentIsRefused(t *testing.T) {
	f, err := valid().Compile()
	require.NoError(t, err)
	_, refused := decode(t, f, "application/json", `{"notes":`+strings.Repeat(`{"a":`, 20_000)+"1"+strings.Repeat("}", 20_001))
	require.Equal(t, 400, refused.Status)
	require.Contains(t, refused.Detail, "exceeded max depth")
	require.Less(t, len(refused.Detail), 300)
}

func TestUnknownFieldsCanBeAllowed(t *testing.T) {
	c := valid()
	c.AllowUnknownFields = true
	f, err := c.Compile()
	require.NoError(t, err)
	require.False(t, f.Route.Strict)
	_, refused := decode(t, f, "application/json", `{"id":"1","idd":"1"}`)
	require.Nil(t, refused)
}

var calls = topic.New("calls", format.String(), format.Protobuf[*apipb.Method]())

func messages(allowUnknown bool) router.Config[*apipb.Method, string, *apipb.Method] {
	return router.Config[*apipb.Method, string, *apipb.Method]{
		Name: "calls", Route: "POST /calls", Output: calls, AllowUnknownFields: allowUnknown,
		Function: func(_ context.Context, _ *http.Request, m *apipb.Method) (topic.Record, error) {
			return calls.Record(m.GetName(), m), nil
		},
	}
}

func TestMessages(t *testing.T) {
	f, err := messages(false).Compile()
	require.NoError(t, err)
	require.Equal(t, []string{"application/json", "application/x-protobuf", "application/protobuf"}, f.Route.ContentTypes)
	want := &apipb.Method{Name: "a", RequestStreaming: true}
	binary, err := proto.Marshal(want)
	require.NoError(t, err)
	for mediaType, body := range map[string]string{
		"application/x-protobuf": string(binary), "application/protobuf": string(binary),
		"application/json": `{"name":"a","requestStreaming":true}`,
	} {
		value, refused := decode(t, f, mediaType, body)
		require.Nil(t, refused, mediaType)
		got := &apipb.Method{}
		require.NoError(t, proto.Unmarshal([]byte(value), got))
		require.True(t, proto.Equal(want, got), mediaType)
	}
}

func TestBadMessages(t *testing.T) {
	f, err := messages(false).Compile()
	require.NoError(t, err)
	for name, test := range map[string]struct{ mediaType, body, field string }{
		"cut":           {"application/x-protobuf", "\x0a\x05a", ""},
		"invalid UTF-8": {"application/json", "{\"name\":\"\xff\"}", ""},
		"empty JSON":    {"application/json", "", ""},
		"no JSON":       {"application/json", "{", ""},
		"unknown field": {"application/json", `{"nam":"a"}`, "nam"},
		"wrong type":    {"application/json", `{"requestStreaming":"yes"}`, "requestStreaming"},
		"deep":          {"application/json", strings.Repeat(`{"options":[`, 20_000), "options"},
	} {
		t.Run(name, func(t *testing.T) {
			_, refused := decode(t, f, test.mediaType, test.body)
			require.NotNil(t, refused)
			require.Equal(t, 400, refused.Status)
			require.Equal(t, test.field, refused.Field, refused.Detail)
			require.NotContains(t, refused.Detail, "proto:")
		})
	}
	lenient, err := messages(true).Compile()
	require.NoError(t, err)
	_, refused := decode(t, lenient, "application/json", `{"nam":"a"}`)
	require.Nil(t, refused)
}

func TestNoBody(t *testing.T) {
	f, err := router.Config[router.NoBody, string, order]{
		Name: "cancel", Route: "DELETE /orders/{order}", Output: orders,
		Function: func(_ context.Context, request *http.Request, _ router.NoBody) (topic.Record, error) {
			return orders.Tombstone(request.PathValue("order")), nil
		},
	}.Compile()
	require.NoError(t, err)
	require.Nil(t, f.Route.Body)
	require.Empty(t, f.Route.ContentTypes)
	_, refused := decode(t, f, "", "")
	require.Nil(t, refused)
	_, refused = decode(t, f, "", "x")
	require.Equal(t, "the request takes no body", refused.Detail)
}

func TestBearer(t *testing.T) {
	wrong := errors.New("wrong")
	authenticate := router.Bearer(func(_ context.Context, token string) error {
		if token != "letmein" {
			return wrong
		}
		return nil
	})
	for header, want := range map[string]string{
		"Bearer letmein": "", "bearer  letmein": "", "Bearer other": "wrong",
		"": "a bearer token is needed", "Bearer": "a bearer token is needed", "Bearer ": "a bearer token is needed",
		"Basic letmein": "a bearer token is needed",
	} {
		request := httptest.NewRequest(http.MethodPost, "/", nil)
		request.Header.Set("Authorization", header)
		err := authenticate(t.Context(), request)
		if want == "" {
			require.NoError(t, err, header)
		} else {
			require.EqualError(t, err, want, header)
		}
	}
}

// FuzzRoute reads routes. One that is taken is one for net/http's router, too.
func FuzzRoute(f *testing.F) {
	for _, text := range []string{
		"POST /orders", "PUT /polls/{poll}/votes/{voter}", "DELETE /files/{path...}", "POST /a//b", "POST /{a}/{a}", "POST /{}", "POST /{a...}/b",
		"GET /a", "POST", "POST a", "POST /", "POST /a/", "POST /é", "POST /a b", "POST /..", "PATCH /{1}", " /a", "POST  /a",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := valid()
		c.Route = text
		compiled, err := c.Compile()
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		http.NewServeMux().HandleFunc(compiled.Route.Method+" "+compiled.Route.Pattern, func(http.ResponseWriter, *http.Request) {})
	})
}

func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		`{"id":"1","lines":[{"product":"a","quantity":2}]}`, `{"id":7}`, `{"idd":1}`, `[]`, `null`, "", "{", "{\"id\":\"\xff\"}", `{} {}`,
		`{"placed":"2026-01-02T03:04:05Z"}`, `{"placed":1}`, `{"notes":{"a":[1,null]}}`, strings.Repeat("[", 100),
	} {
		f.Add([]byte(seed))
	}
	compiled, err := valid().Compile()
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte) { refusedOrTaken(t, compiled, "application/json", body) })
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte("\x0a\x01a\x18\x01"), false)
	f.Add([]byte(`{"name":"a","requestStreaming":true}`), true)
	f.Add([]byte(`{"options":[{"name":"x","value":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}}]}`), true)
	f.Add([]byte("\xff\xff\xff\xff"), false)
	compiled, err := messages(false).Compile()
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte, asJSON bool) {
		mediaType := "application/x-protobuf"
		if asJSON {
			mediaType = "application/json"
		}
		refusedOrTaken(t, compiled, mediaType, body)
	})
}

// refusedOrTaken checks that a body is a record or the client's fault, and says so in little text.
func refusedOrTaken(t *testing.T, f *runtime.Function, mediaType string, body []byte) {
	record, err := f.Route.Accept(t.Context(), httptest.NewRequest(http.MethodPost, "/", nil), mediaType, body)
	if err == nil {
		require.NoError(t, record.Err())
		return
	}
	refused := problem.Of(err)
	require.Equal(t, 400, refused.Status)
	require.NotEmpty(t, refused.Detail)
	require.Less(t, len(refused.Detail)+len(refused.Field), 1000)
	require.NoError(t, refused.Write(httptest.NewRecorder()))
}
