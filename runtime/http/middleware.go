package http

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/uptrace/bunrouter"

	"github.com/kappaflows/flows/runtime/problem"
)

// problems answers errors as problem details. The error goes on to the log.
func problems(next bunrouter.HandlerFunc) bunrouter.HandlerFunc {
	return func(w http.ResponseWriter, request bunrouter.Request) error {
		err := next(w, request)
		if err == nil {
			return nil
		}
		return errors.Join(err, problem.Of(err).Write(w))
	}
}

// guarded answers requests that the router panics on before it has found who serves them, so that none of what it calls can
// help: those whose path has a NUL, as /live%00 has, or does not begin with a slash.
func (s *Server) guarded(router http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if strings.HasPrefix(request.URL.Path, "/") && strings.IndexByte(request.URL.Path, 0) < 0 {
			router.ServeHTTP(w, request)
			return
		}
		s.config.Logger.Debug("request refused", "method", request.Method, "path", request.URL.Path)
		if err := problem.Of(statusError(http.StatusNotFound, "no path is like that; / lists what there is")).Write(w); err != nil {
			s.config.Logger.Debug("request not answered", "error", err)
		}
	})
}

// panicError is a panic of a handler.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// recovered makes an error of a panic, so that the client gets an answer.
func recovered(next bunrouter.HandlerFunc) bunrouter.HandlerFunc {
	return func(w http.ResponseWriter, request bunrouter.Request) (err error) {
		defer func() {
			switch value := recover(); value {
			case nil:
			case http.ErrAbortHandler:
				panic(value) //nolint:forbidigo // how a handler tells net/http to cut the connection
			default:
				failure := &panicError{value: value, stack: debug.Stack()}
				err = errors.Join(failure, problem.Of(failure).Write(w))
			}
		}()
		return next(w, request)
	}
}

// logged writes requests to the log: at debug, or as an error where the app and not the client is to blame.
func (s *Server) logged(next bunrouter.HandlerFunc) bunrouter.HandlerFunc {
	return func(w http.ResponseWriter, request bunrouter.Request) error {
		begin := s.config.Clock.Now()
		err := next(w, request)
		log := s.config.Logger.With("method", request.Method, "path", request.URL.Path,
			"duration", s.config.Clock.Now().Sub(begin))
		switch failure, isPanic := errors.AsType[*panicError](err); {
		case isPanic:
			log.Error("request failed", "error", failure, "stack", string(failure.stack))
		case err != nil && problem.Of(err).Status == http.StatusInternalServerError:
			log.Error("request failed", "error", err)
		case err != nil:
			log.Debug("request refused", "reason", err)
		default:
			log.Debug("request")
		}
		return err
	}
}
