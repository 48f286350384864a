package http

import "github.com/kappaflows/flows/runtime/problem"

// Problem is an error as clients see it: problem details of RFC 9457.
type Problem = problem.Details

func statusError(status int, detail string) error { return problem.New(status, detail) }
