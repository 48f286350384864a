// Package problem is how HTTP clients are told what went wrong: problem details as in RFC 9457.
//
// It knows nothing of what is served.
package problem

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
)

// ContentType is the media type of problem details.
const ContentType = "application/problem+json"

// Details is an error as clients see it.
type Details struct {
	// Status is the answer's status, from 400 to 599.
	Status int
	// Title says what kind of problem it is; the status's own text unless set.
	Title string
	// Detail says what is wrong this time.
	Detail string
	// Field is the field of the request's body that is wrong, as the client spells it; empty where it is none.
	Field string
	// More are further members of the answer.
	More map[string]any
	// Err is what caused it, for the app's log; clients do not see it.
	Err error
}

// New returns details with the status's own title.
func New(status int, detail string) *Details { return &Details{Status: status, Detail: detail} }

func (d *Details) Error() string {
	switch {
	case d.Err == nil:
		return d.Detail
	case d.Detail == "":
		return d.Err.Error()
	default:
		return d.Detail + ": " + d.Err.Error()
	}
}

func (d *Details) Unwrap() error { return d.Err }

// Write answers a request with the problem. A status that is none of an error is 500.
func (d *Details) Write(w http.ResponseWriter) error {
	status := d.Status
	if status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	members := map[string]any{}
	maps.Copy(members, d.More)
	members["type"] = "about:blank"
	members["status"] = status
	if members["title"] = d.Title; d.Title == "" {
		members["title"] = http.StatusText(status)
	}
	if d.Detail != "" {
		members["detail"] = d.Detail
	}
	if d.Field != "" {
		members["field"] = d.Field
	}
	return WriteJSON(w, status, ContentType, members)
}

// Of returns the problem that an error is; one that nobody foresaw tells the client nothing of the inside.
func Of(err error) *Details {
	if d, ok := errors.AsType[*Details](err); ok {
		return d
	}
	return &Details{Status: http.StatusInternalServerError, Detail: "the request failed; the app's log says why", Err: err}
}

// WriteJSON answers a request with an indented JSON document.
func WriteJSON(w http.ResponseWriter, status int, contentType string, value any) error {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a client that has left gets no other answer
	return nil
}
