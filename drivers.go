package flows

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/uptrace/bun"

	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/runtime/embedded"
	"github.com/kappaflows/flows/runtime/kafka"
	"github.com/kappaflows/flows/runtime/postgres"
	"github.com/kappaflows/flows/runtime/sqlite"
)

// drivers are the log and the store that an app runs on, and what is closed with them.
type drivers struct {
	log   runtime.Log
	store runtime.Store
	// db is the database of the store, where it is one.
	db *bun.DB
	// logName and storeName are what people call them.
	logName, storeName string
	closers            []func() error
}

// opener opens the drivers that the settings ask for; withStore says whether a store is needed.
type opener func(ctx context.Context, settings *Settings, withStore bool) (*drivers, error)

// openDrivers opens Kafka and Postgres, or the embedded log and store where no broker is set.
func openDrivers(ctx context.Context, settings *Settings, withStore bool) (*drivers, error) {
	d := &drivers{}
	open := d.openCluster
	if settings.Embedded() {
		open = d.openEmbedded
	}
	if err := open(ctx, settings, withStore); err != nil {
		return nil, closeAfter(err, d)
	}
	return d, nil
}

func (d *drivers) openCluster(ctx context.Context, settings *Settings, withStore bool) error {
	if withStore && settings.Postgres.URL == "" {
		return usagef("POSTGRES_URL is not set: exactly once on a cluster needs a Postgres database")
	}
	if err := d.openLog(ctx, settings.Kafka, settings.Logger); err != nil {
		return err
	}
	if !withStore {
		return nil
	}
	config := settings.Postgres
	config.Logger = settings.Logger
	store, err := postgres.Open(ctx, config)
	if err != nil {
		return err
	}
	d.store, d.db, d.storeName = store, store.DB(), "postgres"
	d.closers = append(d.closers, store.Close)
	return nil
}

func (d *drivers) openEmbedded(ctx context.Context, settings *Settings, withStore bool) error {
	server, err := embedded.Start(embedded.Config{Dir: settings.DataDir, Logger: settings.Logger})
	if err != nil {
		return err
	}
	d.closers = append(d.closers, server.Close)
	settings.Logger.Info("no KAFKA_BROKERS set: running on the embedded log and store", "brokers", server.Brokers(),
		"data", describeDir(settings.DataDir))
	config := settings.Kafka
	config.Brokers = server.Brokers()
	if err := d.openLog(ctx, config, settings.Logger); err != nil {
		return err
	}
	if !withStore {
		return nil
	}
	store, err := sqlite.Open(ctx, sqlite.Config{Path: server.StorePath(), Logger: settings.Logger})
	if err != nil {
		return err
	}
	d.store, d.db, d.storeName = store, store.DB(), "sqlite"
	d.closers = append(d.closers, store.Close)
	return nil
}

func (d *drivers) openLog(ctx context.Context, config kafka.Config, logger *slog.Logger) error {
	config.Logger = logger
	log, err := kafka.Open(ctx, config)
	if err != nil {
		return err
	}
	d.log, d.logName = log, "kafka"
	d.closers = append(d.closers, log.Close)
	return nil
}

func describeDir(dir string) string {
	if dir == "" {
		return "kept in no folder, gone at the end"
	}
	if absolute, err := filepath.Abs(dir); err == nil {
		return absolute
	}
	return dir
}

// Close closes everything in reverse order of opening.
func (d *drivers) Close() error {
	var errs []error
	for _, closeOne := range slices.Backward(d.closers) {
		errs = append(errs, closeOne())
	}
	d.closers = nil
	return errors.Join(errs...)
}

// closeAfter closes what was used and returns err, or the error of closing where there is no other.
func closeAfter(err error, used interface{ Close() error }) error {
	if closing := used.Close(); err == nil {
		return closing
	}
	return err
}
