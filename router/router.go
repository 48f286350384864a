package router

import (
	"context"
	"net/http"
	"time"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/problem"
	"github.com/kappaflows/flows/topic"
)

// Kind is what people call the functions of this package.
const Kind = "router"

// Defaults of Config.
const (
	DefaultBodyLimit = 1 << 20
	DefaultTimeout   = 5 * time.Second
	DefaultKeepKeys  = 24 * time.Hour
)

// longestTimeout leaves time to read a body and to answer within what the server gives a request.
const longestTimeout = 15 * time.Second

// Config is a router that takes requests with a Body into a topic with keys of K and values of V.
//
// A Body that is the pointer to a generated protobuf message is taken as application/x-protobuf, application/protobuf,
// and application/json by the rules of protobuf's JSON. NoBody takes requests without one. Any other Body is taken as
// application/json by the rules of encoding/json.
type Config[Body, K, V any] struct {
	// Name is unique in the app. It takes the characters of a topic's name, 200 at most.
	Name string
	// Route is a method and a path, such as "POST /orders" or "PUT /customers/{customer}": POST, PUT, PATCH or DELETE, and
	// net/http's wildcards, which the function reads with request.PathValue. Case and a slash at the end count.
	Route string
	// Output is the topic that the records go to.
	Output *topic.Topic[K, V]
	// Function makes the record of a request. Its ctx is done when the request's time is up. The request's Body has the
	// bytes that body was decoded from, for signatures. A request that is made again may call it again: it should do
	// nothing besides. Its error decides the answer: see Problem; one that is runtime.Permanent is 400 with its text,
	// one that wraps runtime.ErrUnavailable 503, any other 500 without its text.
	Function func(ctx context.Context, request *http.Request, body Body) (topic.Record, error)
	// Authenticate, where set, decides on each request before its body is read. Nil lets it in, an error that wraps
	// ErrForbidden is 403, a *Problem what it says, one that wraps runtime.ErrUnavailable 503, and any other 401. See Bearer.
	Authenticate func(ctx context.Context, request *http.Request) error
	// BodyLimit is the most bytes of a body; 0 is 1 MiB.
	BodyLimit int64
	// Timeout is how long a request may take once its body is read, waiting for a broker or a database that is away
	// included; 0 is 5 s, and 15 s the most.
	Timeout time.Duration
	// KeepKeys is how long an Idempotency-Key is kept; 0 is a day.
	KeepKeys time.Duration
	// RequireKey refuses requests without an Idempotency-Key.
	RequireKey bool
	// AllowUnknownFields passes over fields that Body does not have; else they are refused, so that a misspelt one is
	// not lost.
	AllowUnknownFields bool
	// Delivery is exactly once unless set. At least once needs no database and takes no Idempotency-Key.
	Delivery runtime.Delivery
}

// Problem is an error of a function, or of Authenticate, that says itself how the client is answered.
type Problem = problem.Details

// Compile checks the config and makes the function that the app serves. The error is a *runtime.ConfigError with
// everything that is wrong.
func (c Config[Body, K, V]) Compile() (*runtime.Function, error) {
	body := bodyOf[Body](!c.AllowUnknownFields)
	route, problems := parseRoute(c.Route)
	route.Body, route.Strict, route.ContentTypes = body.kind, !c.AllowUnknownFields, body.contentTypes
	route.BodyLimit, route.Timeout, route.KeepKeys = c.BodyLimit, c.Timeout, c.KeepKeys
	setDefault(&route.BodyLimit, DefaultBodyLimit)
	setDefault(&route.Timeout, DefaultTimeout)
	setDefault(&route.KeepKeys, DefaultKeepKeys)
	route.RequireKey, route.Authenticate, route.Accept = c.RequireKey, c.Authenticate, c.accept(body)
	f := &runtime.Function{
		Name: c.Name, Kind: Kind, Outputs: []*topic.Spec{c.Output.Spec()}, Route: route,
		Options: runtime.Options{Delivery: c.Delivery},
	}
	if err := f.Check(append(problems, c.problems()...)...); err != nil {
		return nil, err
	}
	return f, nil
}

func setDefault[T ~int64](knob *T, value T) {
	if *knob == 0 {
		*knob = value
	}
}

func (c Config[Body, K, V]) problems() (problems []runtime.Problem) {
	add := func(field, message string) {
		problems = append(problems, runtime.Problem{Field: field, Message: message})
	}
	if c.Function == nil {
		add("Function", "a function needs one")
	}
	if c.BodyLimit < 0 {
		add("BodyLimit", "is negative")
	}
	if c.Timeout < 0 || c.Timeout > longestTimeout {
		add("Timeout", "takes 0 to "+longestTimeout.String())
	}
	if c.KeepKeys < 0 {
		add("KeepKeys", "is negative")
	}
	if c.RequireKey && c.Delivery == runtime.AtLeastOnce {
		add("RequireKey", "keys need a database, and at least once has none")
	}
	return problems
}

// accept returns what makes the record of a request.
func (c Config[Body, K, V]) accept(body body[Body]) func(context.Context, *http.Request, string, []byte) (topic.Record, error) {
	call := c.Function
	return func(ctx context.Context, request *http.Request, mediaType string, data []byte) (topic.Record, error) {
		decoded, err := body.decode(mediaType, data)
		if err != nil {
			return topic.Record{}, err
		}
		return call(ctx, request, decoded)
	}
}
