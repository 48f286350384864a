package http

import (
	"errors"
	"maps"
	"net/http"
)

// Problem is an error as clients see it: problem details of RFC 9457.
type Problem struct {
	Status int
	// Title says what kind of problem it is; the status's own text unless set.
	Title string
	// Detail says what is wrong this time.
	Detail string
	// More are further members of the answer.
	More map[string]any
}

func (p *Problem) Error() string { return p.Detail }

func (p *Problem) write(w http.ResponseWriter) error {
	title := p.Title
	if title == "" {
		title = http.StatusText(p.Status)
	}
	body := map[string]any{}
	maps.Copy(body, p.More)
	body["type"] = "about:blank"
	body["title"] = title
	body["status"] = p.Status
	body["detail"] = p.Detail
	return writeJSON(w, p.Status, "application/problem+json", body)
}

func statusError(status int, detail string) error { return &Problem{Status: status, Detail: detail} }

// problemOf returns the problem that an error is; one that nobody foresaw tells the client nothing of the inside.
func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return &Problem{Status: http.StatusInternalServerError, Detail: "the request failed; the app's log says why"}
}
