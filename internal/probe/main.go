// Command probe asks the app in the same container whether it is ready: exit status 0 when it is. An image without a
// shell has nothing else to ask with. HTTP_ADDR says where, as it does for the app.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// timeout is longer than an app takes to ask its own broker and database.
const timeout = 4 * time.Second

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	err := ask(ctx, os.Getenv("HTTP_ADDR"))
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

// ask returns nil when the app that listens at an address says that it is ready.
func ask(ctx context.Context, address string) error {
	url, err := readyURL(address)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// readyURL returns where to ask an app that listens at an address; empty is the app's own default, and an address
// without a host is every address of the machine.
func readyURL(address string) (string, error) {
	if address == "" {
		address = ":8080"
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("HTTP_ADDR: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/ready", nil
}
