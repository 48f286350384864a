package runtime

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/kappaflows/flows/topic"
)

// Route is how requests come into a function that takes them from HTTP in place of topics: a router. The function has no
// Inputs, one output, and is served and not run by the engine. It is inert data.
type Route struct {
	// Method and Pattern are what requests match. The pattern is net/http's: /orders/{customer}, where a last {path...}
	// takes the rest. Its wildcards are the request's path values.
	Method, Pattern string
	// Body is the Go type of the bodies, for descriptions; nil where requests have none.
	Body reflect.Type
	// Strict says that a body with fields that Body does not have is refused.
	Strict bool
	// ContentTypes are the media types that are taken, the usual one first.
	ContentTypes []string
	// BodyLimit is the most bytes of a body, and Timeout how long a request may take once its body is read.
	BodyLimit int64
	Timeout   time.Duration
	// KeepKeys is how long idempotency keys are kept, and RequireKey says that a request must have one. Keys need a
	// KeyStore: a function that is AtLeastOnce has none.
	KeepKeys   time.Duration
	RequireKey bool
	// Authenticate, where set, says whether a request may be made; it comes before the body is read.
	Authenticate func(ctx context.Context, request *http.Request) error
	// Accept makes the record of a request. mediaType is one of ContentTypes, empty where there are none.
	Accept func(ctx context.Context, request *http.Request, mediaType string, body []byte) (topic.Record, error)
}

// ErrForbidden is wrapped by an error of Route.Authenticate where it is known who asks, and that they may not.
var ErrForbidden = errors.New("forbidden")

func (r *Route) String() string { return r.Method + " " + r.Pattern }

// Shape returns the route without the names of its wildcards: routes of one shape match the same requests.
func (r *Route) Shape() string {
	segments := strings.Split(r.Pattern, "/")
	for i, segment := range segments {
		switch {
		case strings.HasSuffix(segment, "...}"):
			segments[i] = "{...}"
		case strings.HasPrefix(segment, "{"):
			segments[i] = "{}"
		}
	}
	return r.Method + " " + strings.Join(segments, "/")
}
