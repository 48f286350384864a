package flows

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

type healthCommand struct{}

// Help is shown by health --help.
func (*healthCommand) Help() string {
	return `For health checks of images without a shell: asks /ready of the process that serves HTTP_ADDR on this machine. Status 0 means that it is ready, 1 that it is not or does not answer.`
}

const (
	healthTimeout = 4 * time.Second
	// problemLimit bounds what is read of an answer.
	problemLimit = 64 << 10
)

// Run asks whether the app is ready.
func (*healthCommand) Run(ctx context.Context, in *Invocation) error {
	addr := in.Settings.httpAddr()
	if addr == NoHTTP {
		return usagef("HTTP_ADDR is off: there is nothing to ask")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return usagef("HTTP_ADDR %q: it takes HOST:PORT", addr)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	return ready(ctx, "http://"+net.JoinHostPort(host, port)+"/ready")
}

func ready(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	var problem struct{ Detail string }
	_ = json.NewDecoder(io.LimitReader(answer.Body, problemLimit)).Decode(&problem) // the status says enough
	return fmt.Errorf("not ready: status %d: %s", answer.StatusCode, problem.Detail)
}
