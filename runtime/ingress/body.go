package ingress

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/kappaflows/flows/runtime/problem"
)

// firstRead is what is made room for before anything of a body has come: a client's word for how long it is costs us
// nothing until it sends as much.
const firstRead = 4 << 10

// read reads a request's body. What it holds counts against all bodies until release is called, which is never nil.
func (r *route) read(w http.ResponseWriter, request *http.Request) (body []byte, release func(), err error) {
	held := int64(0)
	release = func() { r.ingress.bodies.Release(held) }
	limit := r.spec.BodyLimit
	if request.ContentLength > limit {
		return nil, release, tooLarge(limit)
	}
	from := http.MaxBytesReader(w, request.Body, limit)
	for {
		if len(body) == cap(body) {
			size := min(max(firstRead, 2*int64(cap(body))), limit+1)
			if request.ContentLength >= 0 {
				size = min(size, request.ContentLength+1)
			}
			if !r.ingress.bodies.TryAcquire(min(size, limit) - held) {
				return nil, release, unavailable(w, "too many requests at once", nil)
			}
			held = min(size, limit)
			body = append(make([]byte, 0, size), body...)
		}
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			return body, release, nil
		}
		if err != nil {
			return nil, release, readProblem(w, err, limit)
		}
	}
}

func tooLarge(limit int64) error {
	return problem.New(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than the %d bytes that are taken", limit))
}

// readProblem says why a body could not be read.
func readProblem(w http.ResponseWriter, err error, limit int64) error {
	if _, is := errors.AsType[*http.MaxBytesError](err); is {
		return tooLarge(limit)
	}
	w.Header().Set("Connection", "close")
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &problem.Details{Status: http.StatusRequestTimeout, Detail: "the body did not come in time", Err: err}
	}
	return &problem.Details{Status: http.StatusBadRequest, Detail: "the body did not come whole", Err: err}
}
