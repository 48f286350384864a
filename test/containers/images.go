package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// The images, which have to be there or to be pulled.
const (
	kafkaImage    = "apache/kafka:4.1.0"
	postgresImage = "postgres:17"
)

const startTimeout = 2 * time.Minute

// startKafka starts one node. Its address for clients is part of its configuration, so the port outside is chosen
// first and is the same inside.
func startKafka(ctx context.Context) (testcontainers.Container, string, error) {
	host, err := dockerHost(ctx)
	if err != nil {
		return nil, "", err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, "", err
	}
	address := net.JoinHostPort(host, port)
	broker, err := testcontainers.Run(
		ctx, kafkaImage,
		testcontainers.WithExposedPorts(port+"/tcp"),
		testcontainers.WithHostConfigModifier(func(config *container.HostConfig) {
			config.PortBindings = network.PortMap{network.MustParsePort(port + "/tcp"): {{HostPort: port}}}
		}),
		testcontainers.WithEnv(kafkaEnvironment(address, port)),
		testcontainers.WithWaitStrategyAndDeadline(startTimeout, wait.ForLog("Kafka Server started")),
	)
	return started(broker), address, err
}

func kafkaEnvironment(address, port string) map[string]string {
	return map[string]string{
		"KAFKA_NODE_ID":                                  "1",
		"KAFKA_PROCESS_ROLES":                            "broker,controller",
		"KAFKA_LISTENERS":                                "PLAINTEXT://:" + port + ",CONTROLLER://:9093",
		"KAFKA_ADVERTISED_LISTENERS":                     "PLAINTEXT://" + address,
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":           "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"KAFKA_CONTROLLER_LISTENER_NAMES":                "CONTROLLER",
		"KAFKA_CONTROLLER_QUORUM_VOTERS":                 "1@localhost:9093",
		"KAFKA_AUTO_CREATE_TOPICS_ENABLE":                "false",
		"KAFKA_NUM_PARTITIONS":                           "4",
		"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":         "0",
		"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS":             "8",
		"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":         "1",
		"KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS":     "8",
		"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
		"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":            "1",
	}
}

func startPostgres(ctx context.Context) (testcontainers.Container, string, error) {
	const port = "5432/tcp"
	server, err := testcontainers.Run(
		ctx, postgresImage,
		testcontainers.WithExposedPorts(port),
		testcontainers.WithEnv(map[string]string{"POSTGRES_HOST_AUTH_METHOD": "trust"}),
		testcontainers.WithCmdArgs("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200"),
		// The first of the two lines is the one of the server that the image initialises the database with.
		testcontainers.WithWaitStrategyAndDeadline(
			startTimeout,
			wait.ForLog("database system is ready to accept connections").WithOccurrence(2), wait.ForListeningPort(port),
		),
	)
	if err != nil {
		return started(server), "", err
	}
	address, err := server.PortEndpoint(ctx, port, "")
	return server, "postgres://postgres@" + address + "/postgres?sslmode=disable", err
}

// started keeps a container that is nil from becoming an interface that is not.
func started(container *testcontainers.DockerContainer) testcontainers.Container {
	if container == nil {
		return nil
	}
	return container
}

// dockerHost returns the name under which this process reaches ports of containers.
func dockerHost(ctx context.Context) (string, error) {
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return "", fmt.Errorf("docker: %w", err)
	}
	defer provider.Close()
	return provider.DaemonHost(ctx)
}

// freePort finds a port that is free on this machine, which is where Docker usually is.
func freePort(ctx context.Context) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	address, is := listener.Addr().(*net.TCPAddr)
	if !is {
		return "", fmt.Errorf("%v is not a TCP address", listener.Addr())
	}
	return strconv.Itoa(address.Port), nil
}
