// Package embedded is a Kafka broker and a place for a database inside this process, for a program that runs alone and
// without services: a trial, a demonstration, a test.
//
// The broker is franz-go's kfake behind a real TCP port of the loopback address, so programs reach it as they reach a
// cluster. With a folder it is persistent: after a clean end as after a kill it goes on where it was, and it still
// knows which batches of a producer it has, so nothing is appended twice. It has one node and one copy, it leaves
// writing to disk to the operating system (what a machine without power had not written yet is lost), and a single loop
// does its work. It is not meant for production; a cluster is.
package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kappaflows/flows/internal/folder"
)

// Config says how the embedded broker runs. The zero value is a broker on a free port that forgets when it is closed.
type Config struct {
	// Dir is the folder of the log and of the store's file, made where it is missing. One process at a time may use
	// it. Empty is a temporary folder that Close deletes.
	Dir string
	// Port is the port of 127.0.0.1 to listen on; 0 is a free one.
	Port int
	// Partitions is how many partitions a topic gets whose creator leaves it to the broker; 0 is 4.
	Partitions int
	// Logger gets what the broker has to say; nil is slog's discarding handler.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Partitions == 0 {
		c.Partitions = 4
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	if c.Port < 0 || c.Port > 65_535 {
		return fmt.Errorf("embedded: port %d is not between 0 and 65535", c.Port)
	}
	if c.Partitions < 0 {
		return fmt.Errorf("embedded: %d partitions", c.Partitions)
	}
	return nil
}

// Server is a running embedded broker.
type Server struct {
	cluster *kfake.Cluster
	folder  *folder.Folder
	brokers []string
}

const (
	folderPrefix = "flows-embedded-"
	logName      = "log"
	storeName    = "store.db"
)

// Start starts the broker. It fails where the port is taken, where another process uses the folder, and where the
// folder holds what can't be read. Topics have to be created explicitly.
func Start(config Config) (*Server, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	held, err := open(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	dir := filepath.Join(held.Path, logName)
	if err := recoverLog(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded: %w", err), held.Close())
	}
	cluster, err := kfake.NewCluster(options(config, dir)...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("embedded: %w", err), held.Close())
	}
	server := &Server{cluster: cluster, folder: held, brokers: cluster.ListenAddrs()}
	if err := markOpen(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded: %w", err), server.Close())
	}
	return server, nil
}

// Brokers returns the addresses to connect to.
func (s *Server) Brokers() []string { return append([]string(nil), s.brokers...) }

// StorePath returns where the file of the embedded store belongs: beside the log, so that both are kept or both are
// gone.
func (s *Server) StorePath() string { return filepath.Join(s.folder.Path, storeName) }

// Close stops the broker, writes down what it knows and lets go of the folder, which it deletes where it was a
// temporary one. Clients should be gone.
func (s *Server) Close() error {
	s.cluster.Close()
	if err := s.folder.Close(); err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	return nil
}

func open(dir string) (*folder.Folder, error) {
	if dir == "" {
		return folder.Temporary(folderPrefix)
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", dir)
	}
	return folder.Open(dir)
}

func options(config Config, dir string) []kfake.Opt {
	return []kfake.Opt{
		kfake.Ports(config.Port),
		kfake.DataDir(dir),
		kfake.ClusterID("flows-embedded"),
		kfake.DefaultNumPartitions(config.Partitions),
		kfake.WithLogger(logger{config.Logger}),
		kfake.BrokerConfigs(map[string]string{
			// A program that runs alone keeps its log: nobody else watches how fast it is read.
			"log.retention.ms": "-1",
			// Segments are read whole at the start.
			"log.segment.bytes": "67108864",
			// Compacted topics are cleaned as often as a Kafka broker does it; kfake's default is an hour.
			"log.cleaner.backoff.ms": "15000",
		}),
	}
}
