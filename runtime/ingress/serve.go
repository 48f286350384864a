package ingress

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/problem"
	"github.com/kappaflows/flows/topic"
)

// route serves one function.
type route struct {
	ingress  *Ingress
	function *runtime.Function
	spec     *runtime.Route
	output   *topic.Spec
	topics   *destination
	appender *appender
}

func newRoute(i *Ingress, f *runtime.Function) *route {
	return &route{
		ingress: i, function: f, spec: f.Route, output: f.Outputs[0],
		topics:   &destination{log: i.config.Log, clock: i.config.Clock, spec: f.Outputs[0]},
		appender: &appender{log: i.config.Log, clock: i.config.Clock, logger: i.config.Logger.With("function", f.Name)},
	}
}

// accepted is the answer to a request whose record is in the log.
type accepted struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Offset is left out where nobody knows it any more.
	Offset *int64 `json:"offset,omitempty"`
}

func appended(at runtime.Position) accepted {
	a := accepted{Topic: at.Topic, Partition: at.Partition}
	if at.Offset >= 0 {
		a.Offset = &at.Offset
	}
	return a
}

// serve answers a request.
func (r *route) serve(w http.ResponseWriter, request *http.Request) (err error) {
	begin := r.ingress.config.Clock.Now()
	status := http.StatusInternalServerError // of a panic
	defer func() { r.ingress.config.Observe(r.function.Name, status, r.ingress.config.Clock.Now().Sub(begin)) }()
	if !r.ingress.enter() {
		w.Header().Set("Connection", "close")
		err = unavailable(w, "the app is shutting down", nil)
		status = problem.Of(err).Status
		return err
	}
	defer r.ingress.requests.Done()
	ctx, cancel := context.WithCancel(request.Context())
	defer cancel()
	defer context.AfterFunc(r.ingress.cut, func() {
		cancel()
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) // where it can't be set, nothing is read
	})()
	answer, err := r.handle(ctx, w, request.WithContext(ctx))
	if err != nil {
		err = r.explain(w, err)
		status = problem.Of(err).Status
		return err
	}
	status = http.StatusAccepted
	return problem.WriteJSON(w, status, "application/json", answer)
}

// handle does what a request asks for: everything that can be refused without its body comes first.
func (r *route) handle(ctx context.Context, w http.ResponseWriter, request *http.Request) (accepted, error) {
	if err := r.authenticate(ctx, w, request); err != nil {
		return accepted{}, err
	}
	mediaType, err := r.mediaType(w, request)
	if err != nil {
		return accepted{}, err
	}
	key, err := r.key(request)
	if err != nil {
		return accepted{}, err
	}
	body, release, err := r.read(w, request)
	defer release()
	if err != nil {
		return accepted{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.spec.Timeout)
	defer cancel()
	request = request.WithContext(ctx)
	request.Body = io.NopCloser(bytes.NewReader(body))
	record := func() (runtime.Output, error) { return r.record(ctx, request, mediaType, body) }
	if key != "" {
		return r.keyed(ctx, w, runtime.RequestKey{Function: r.function.Name, Key: key}, fingerprint(request, mediaType, body), record)
	}
	output, err := record()
	if err != nil {
		return accepted{}, err
	}
	at, err := r.appender.append(ctx, r.output, output)
	return appended(at), err
}

// record calls the user's function and makes of its record what is sent.
func (r *route) record(ctx context.Context, request *http.Request, mediaType string, body []byte) (runtime.Output, error) {
	record, err := r.spec.Accept(ctx, request, mediaType, body)
	if err != nil {
		return runtime.Output{}, asked(err)
	}
	switch spec := record.Spec(); {
	case spec == nil:
		return runtime.Output{}, fmt.Errorf("the zero Record, which no topic made: %w", runtime.ErrUndeclared)
	case record.Err() != nil:
		return runtime.Output{}, record.Err()
	case spec.Name != r.output.Name:
		return runtime.Output{}, fmt.Errorf("record for topic %s: %w", spec.Name, runtime.ErrUndeclared)
	}
	for _, h := range record.Headers() {
		if strings.HasPrefix(h.Key, topic.ReservedHeader) {
			return runtime.Output{}, fmt.Errorf("header %q: %w", h.Key, runtime.ErrReserved)
		}
	}
	at := record.Timestamp()
	if at.IsZero() {
		at = r.ingress.config.Clock.Now()
	}
	return runtime.Output{Key: record.Key(), Value: record.Value(), Headers: record.Headers(), Timestamp: at.UnixMilli()}, nil
}

// asked is what the error of a user's function asks for.
func asked(err error) error {
	if _, says := errors.AsType[*problem.Details](err); says {
		return err
	}
	if runtime.IsPermanent(err) {
		return &problem.Details{Status: http.StatusBadRequest, Detail: err.Error()}
	}
	return err
}

func (r *route) authenticate(ctx context.Context, w http.ResponseWriter, request *http.Request) error {
	if r.spec.Authenticate == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.spec.Timeout)
	defer cancel()
	err := r.spec.Authenticate(ctx, request)
	_, says := errors.AsType[*problem.Details](err)
	switch {
	case err == nil || says || errors.Is(err, runtime.ErrUnavailable) || ctx.Err() != nil:
		return err
	case errors.Is(err, runtime.ErrForbidden):
		return &problem.Details{Status: http.StatusForbidden, Detail: "the request is not allowed", Err: err}
	}
	challenge := "Bearer"
	if request.Header.Get("Authorization") != "" {
		challenge = `Bearer error="invalid_token"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	return &problem.Details{Status: http.StatusUnauthorized, Detail: "the request is not authenticated", Err: err}
}

// mediaType returns which of the route's media types the request has.
func (r *route) mediaType(w http.ResponseWriter, request *http.Request) (string, error) {
	if encoding := request.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		w.Header().Set("Accept-Encoding", "identity")
		return "", problem.New(http.StatusUnsupportedMediaType, fmt.Sprintf("content encoding %.40q is not taken; send the body as it is", encoding))
	}
	if len(r.spec.ContentTypes) == 0 {
		return "", nil
	}
	given := request.Header.Get("Content-Type")
	name, parameters, err := mime.ParseMediaType(given)
	charset, named := parameters["charset"]
	if err == nil && slices.Contains(r.spec.ContentTypes, name) && (!named || strings.EqualFold(charset, "utf-8")) {
		return name, nil
	}
	w.Header().Set("Accept", strings.Join(r.spec.ContentTypes, ", "))
	taken := strings.Join(r.spec.ContentTypes, " or ")
	if given == "" {
		return "", problem.New(http.StatusUnsupportedMediaType, "there is no content type; "+taken+" is taken")
	}
	return "", problem.New(http.StatusUnsupportedMediaType, fmt.Sprintf("content type %.80q is not taken; %s is", given, taken))
}

// longestKey is the most bytes of an idempotency key.
const longestKey = 255

// key returns the request's idempotency key, empty where it has none. A key may be in quotes, as the header's
// specification has it, or without, as many clients send it.
func (r *route) key(request *http.Request) (string, error) {
	keys := request.Header.Values("Idempotency-Key")
	refuse := func(detail string) (string, error) { return "", problem.New(http.StatusBadRequest, detail) }
	switch {
	case len(keys) == 0 && r.spec.RequireKey:
		return refuse("an Idempotency-Key header is needed, such as a UUID")
	case len(keys) == 0:
		return "", nil
	case len(keys) > 1:
		return refuse("there is more than one Idempotency-Key")
	case r.function.Options.Delivery == runtime.AtLeastOnce:
		return refuse("no Idempotency-Key is taken here: requests that are made again are appended again")
	}
	key := keys[0]
	if n := len(key); n > 1 && key[0] == '"' && key[n-1] == '"' {
		key = key[1 : n-1]
	}
	unprintable := func(c rune) bool { return c < ' ' || c > '~' }
	if key == "" || len(key) > longestKey || strings.ContainsFunc(key, unprintable) {
		return refuse("an Idempotency-Key is 1 to " + strconv.Itoa(longestKey) + " printable ASCII characters, such as a UUID")
	}
	return key, nil
}

// fingerprint tells a request from others.
func fingerprint(request *http.Request, mediaType string, body []byte) []byte {
	hash := sha256.New()
	for _, part := range []string{request.Method, request.URL.EscapedPath(), request.URL.RawQuery, mediaType} {
		_, _ = fmt.Fprintf(hash, "%d:%s", len(part), part) // a hash takes everything
	}
	_, _ = hash.Write(body)
	return hash.Sum(nil)
}

// explain makes the answer of what went wrong.
func (r *route) explain(w http.ResponseWriter, err error) error {
	_, says := errors.AsType[*problem.Details](err)
	switch {
	case says:
		return err
	case errors.Is(err, runtime.ErrTooLarge):
		return &problem.Details{Status: http.StatusRequestEntityTooLarge, Detail: "the record is larger than topic " + r.output.Name + " takes", Err: err}
	case errors.Is(err, runtime.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		r.ingress.config.Logger.Warn("a request could not be taken", "function", r.function.Name, "error", err)
		return unavailable(w, "the request could not be taken in time; it may have been, so make it again with the same Idempotency-Key", err)
	default:
		return err
	}
}

// retryAfter is when a client is told to try again, in seconds.
const retryAfter = "2"

func unavailable(w http.ResponseWriter, detail string, err error) error {
	w.Header().Set("Retry-After", retryAfter)
	return &problem.Details{Status: http.StatusServiceUnavailable, Detail: detail, Err: err}
}
