package router

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/kappaflows/flows/runtime"
)

// ErrForbidden is wrapped by an error of Authenticate where the client is known and may not make the request: 403.
var ErrForbidden = runtime.ErrForbidden

// errNoToken says that a request has no bearer token.
var errNoToken = errors.New("a bearer token is needed")

// Bearer returns an Authenticate that calls check with the token of the Authorization header (RFC 6750). A request without
// a token is refused. Compare secrets with crypto/subtle, so that the time it takes tells nothing.
func Bearer(check func(ctx context.Context, token string) error) func(context.Context, *http.Request) error {
	return func(ctx context.Context, request *http.Request) error {
		scheme, token, _ := strings.Cut(request.Header.Get("Authorization"), " ")
		if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
			return errNoToken
		}
		return check(ctx, token)
	}
}
