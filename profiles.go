package flows

import (
	"context"
	"errors"
	"net"

	"github.com/kappaflows/flows/runtime/http"
)

// listenProfiles takes the address for profiles, where there is one.
func (i *Instance) listenProfiles(ctx context.Context) (err error) {
	if i.settings.DebugAddr == "" {
		return nil
	}
	i.profiles, err = http.ListenLoopback(ctx, i.settings.DebugAddr)
	if errors.Is(err, http.ErrNotLoopback) {
		return usagef("DEBUG_ADDR: %w", err)
	}
	return err
}

// serveProfiles serves profiles until ctx is done.
func (i *Instance) serveProfiles(ctx context.Context) error {
	if i.profiles == nil {
		<-ctx.Done()
		return nil
	}
	i.settings.Logger.Info("serving profiles", "url", "http://"+i.profiles.Addr().String()+"/debug/pprof/")
	return http.Profiles{Logger: i.settings.Logger}.Run(ctx, i.profiles)
}

// closeListener closes a listener that may not have been opened, or be closed already.
func closeListener(listener net.Listener) error {
	if listener == nil {
		return nil
	}
	if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
