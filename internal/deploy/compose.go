package deploy

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kappaflows/flows/runtime"
)

// Compose says how a Docker Compose file is made.
type Compose struct {
	App
	// Program is the path of the program in the image, for the health check; the image has no shell that could find it.
	Program string
	// Build is the folder to build the image from, and BuildArgs what the build is told; empty takes the image as it is.
	Build     string
	BuildArgs map[string]string
	// Services adds a Kafka broker and a Postgres server. Without it KAFKA_BROKERS and POSTGRES_URL are taken from the
	// environment of docker compose, or its .env file.
	Services bool
}

// Names of the services besides the functions.
const (
	topicsService   = "flows-topics"
	migrateService  = "flows-migrate"
	kafkaService    = "kafka"
	postgresService = "postgres"
)

// Write writes the file.
func (c Compose) Write(w io.Writer) error {
	c.App = c.withDefaults()
	if err := c.validate(); err != nil {
		return fmt.Errorf("deploy compose: %w", err)
	}
	services := object{topicsService: c.once("topics", "create", "--partitions", strconv.Itoa(int(c.Partitions)))}
	if c.needsStore() {
		services[migrateService] = c.once("migrate")
	}
	document := object{"services": services}
	if c.Services {
		services[kafkaService] = kafkaBroker()
		volumes := object{"kafka": object{}}
		if c.needsStore() {
			services[postgresService] = postgresServer()
			volumes["postgres"] = object{}
		}
		document["volumes"] = volumes
	}
	port := httpPort
	for _, f := range c.Functions {
		service := c.function(f)
		if f.Route != nil {
			service["ports"] = []string{published(f.Name, port, httpPort)}
			port++
		}
		services[escape(f.Name)] = service
	}
	return write(w, c.header(), document)
}

func (c Compose) validate() error {
	if err := c.App.validate(); err != nil {
		return err
	}
	if c.Program == "" {
		return errors.New("the path of the program in the image is missing")
	}
	if !oneWord(c.Program) || !oneWord(c.Build) {
		return fmt.Errorf("paths %q and %q: a path with spaces is not taken", c.Program, c.Build)
	}
	for name, value := range c.BuildArgs {
		if !oneWord(name) || !oneWord(value) {
			return fmt.Errorf("build argument %q: one with spaces is not taken", name)
		}
	}
	for _, f := range c.Functions {
		if slices.Contains([]string{topicsService, migrateService, kafkaService, postgresService}, f.Name) {
			return fmt.Errorf("function %q has the name of a service that the file needs for something else", f.Name)
		}
	}
	return nil
}

func (c Compose) header() string {
	printed := "# Printed by: " + c.commandLine() + "\n"
	if c.Services {
		return printed + "# One container a function, with a broker and a database for trying things out: both have one node and no password\n" +
			"# worth the name. KAFKA_IMAGE and POSTGRES_IMAGE take them from elsewhere, PORT_KAFKA and the like move the ports on\n" +
			"# this machine; all in the environment or in a file .env beside this one.\n"
	}
	return printed + "# One container a function. KAFKA_BROKERS and POSTGRES_URL come from the environment or from a file .env beside\n" +
		"# this one.\n"
}

// commandLine is what prints the same file again.
func (c Compose) commandLine() string {
	words := []string{c.Name, "deploy", "compose", "--name=" + c.Name, "--image=" + c.Image, "--program=" + c.Program}
	if c.Services {
		words = append(words, "--services")
	}
	if c.Build != "" {
		words = append(words, "--build="+c.Build)
	}
	for _, name := range slices.Sorted(maps.Keys(c.BuildArgs)) {
		words = append(words, "--build-arg="+name+"="+c.BuildArgs[name])
	}
	if c.Replicas != 1 {
		words = append(words, "--replicas="+strconv.Itoa(c.Replicas))
	}
	if c.Partitions != defaultPartitions {
		words = append(words, "--partitions="+strconv.Itoa(int(c.Partitions)))
	}
	return strings.Join(words, " ")
}

// container is what all containers of the app have in common.
func (c Compose) container(store bool, command ...string) object {
	environment := object{"KAFKA_BROKERS": "${KAFKA_BROKERS:?is not set}", "LOG_FORMAT": "json"}
	if store {
		environment["POSTGRES_URL"] = "${POSTGRES_URL:?is not set}"
	}
	if c.Services {
		environment["KAFKA_BROKERS"] = kafkaService + ":9092"
		if store {
			environment["POSTGRES_URL"] = "postgres://flows:${POSTGRES_PASSWORD:-flows}@" + postgresService + ":5432/flows?sslmode=disable"
		}
	} else {
		for _, name := range connectionSettings {
			environment[name] = "${" + name + ":-}"
		}
	}
	made := object{
		"image":        escape(c.Image),
		"command":      escapeAll(command),
		"environment":  environment,
		"user":         fmt.Sprintf("%d:%d", user, user),
		"read_only":    true,
		"cap_drop":     []string{"ALL"},
		"security_opt": []string{"no-new-privileges:true"},
	}
	if c.Build != "" {
		build := object{"context": escape(c.Build)}
		if len(c.BuildArgs) > 0 {
			args := object{}
			for name, value := range c.BuildArgs {
				args[escape(name)] = escape(value)
			}
			build["args"] = args
		}
		made["build"] = build
	}
	return made
}

// once is a service that does something at the start and ends.
func (c Compose) once(command ...string) object {
	made := c.container(command[0] == "migrate", command...)
	made["restart"] = "on-failure"
	made["healthcheck"] = object{"disable": true} // an image may have one for what serves
	depends := object{}
	if c.Services {
		depends[kafkaService] = object{"condition": "service_healthy"}
	}
	if command[0] == "migrate" { // it looks for the topics
		depends[topicsService] = object{"condition": "service_completed_successfully"}
		if c.Services {
			depends[postgresService] = object{"condition": "service_healthy"}
		}
	}
	if len(depends) > 0 {
		made["depends_on"] = depends
	}
	return made
}

func (c Compose) function(f *runtime.Function) object {
	made := c.container(needsStore(f), "run", f.Name)
	memory := c.memoryMiB(f)
	environment := made["environment"].(object)
	environment["HTTP_ADDR"] = ":" + strconv.Itoa(httpPort)
	for name, value := range c.bounds(memory) {
		environment[name] = value
	}
	depends := object{topicsService: object{"condition": "service_completed_successfully"}}
	if needsStore(f) {
		depends[migrateService] = object{"condition": "service_completed_successfully"}
	}
	replicas := c.replicas(f)
	if f.Route != nil {
		replicas = 1 // a second container could not have the same port of the machine
	}
	maps.Copy(made, object{
		"depends_on": depends,
		"deploy": object{
			"replicas":  replicas,
			"resources": object{"limits": object{"memory": fmt.Sprintf("%dM", memory)}},
		},
		"healthcheck": object{
			"test":     []string{"CMD", escape(c.Program), "health"},
			"interval": "5s", "timeout": "5s", "retries": 3, "start_period": "30s",
		},
		"restart":           "unless-stopped",
		"stop_grace_period": fmt.Sprintf("%ds", graceSeconds),
	})
	return made
}

// published is a port of a container on this machine, for this machine alone. What else runs here may have it already, so
// the environment can move it.
func published(service string, outside, inside int) string {
	return fmt.Sprintf("127.0.0.1:%s:%d", portVariable(service, outside), inside)
}

func portVariable(service string, otherwise int) string {
	name := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' && r < 'A' || r > 'Z' {
			return '_'
		}
		return r
	}, strings.ToUpper(service))
	return fmt.Sprintf("${PORT_%s:-%d}", name, otherwise)
}

// Ports of the broker for clients outside, who need another address than those inside, and of the database.
const (
	kafkaPortOutside = 9094
	postgresPort     = 5432
)

func kafkaBroker() object {
	return object{
		"image": "${KAFKA_IMAGE:-apache/kafka:4.1.1}",
		"environment": object{
			"KAFKA_NODE_ID":                                  1,
			"KAFKA_PROCESS_ROLES":                            "broker,controller",
			"KAFKA_LISTENERS":                                "INSIDE://:9092,CONTROLLER://:9093,OUTSIDE://:9094",
			"KAFKA_ADVERTISED_LISTENERS":                     "INSIDE://" + kafkaService + ":9092,OUTSIDE://localhost:" + portVariable(kafkaService, kafkaPortOutside),
			"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":           "INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT,OUTSIDE:PLAINTEXT",
			"KAFKA_INTER_BROKER_LISTENER_NAME":               "INSIDE",
			"KAFKA_CONTROLLER_LISTENER_NAMES":                "CONTROLLER",
			"KAFKA_CONTROLLER_QUORUM_VOTERS":                 "1@localhost:9093",
			"KAFKA_LOG_DIRS":                                 "/var/lib/kafka/data",
			"KAFKA_AUTO_CREATE_TOPICS_ENABLE":                "false",
			"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":         1,
			"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": 1,
			"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":            1,
			"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":         0,
		},
		"ports":   []string{published(kafkaService, kafkaPortOutside, kafkaPortOutside)},
		"volumes": []string{"kafka:/var/lib/kafka/data"},
		"healthcheck": object{
			"test":     []string{"CMD", "/opt/kafka/bin/kafka-broker-api-versions.sh", "--bootstrap-server", "localhost:9092"},
			"interval": "5s", "timeout": "10s", "retries": 20,
		},
		"restart": "unless-stopped",
	}
}

func postgresServer() object {
	return object{
		"image": "${POSTGRES_IMAGE:-postgres:17}",
		"environment": object{
			"POSTGRES_USER": "flows", "POSTGRES_DB": "flows", "POSTGRES_PASSWORD": "${POSTGRES_PASSWORD:-flows}",
		},
		"ports":   []string{published(postgresService, postgresPort, postgresPort)},
		"volumes": []string{"postgres:/var/lib/postgresql/data"},
		"healthcheck": object{
			"test":     []string{"CMD", "pg_isready", "--username", "flows", "--dbname", "flows", "--host", "localhost"},
			"interval": "2s", "timeout": "5s", "retries": 30,
		},
		"restart": "unless-stopped",
	}
}

// connectionSettings are the variables about the connection to the brokers besides KAFKA_BROKERS that are not files.
var connectionSettings = []string{"KAFKA_TLS", "KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"}

// escape keeps Compose from taking a dollar sign for the beginning of a variable.
func escape(text string) string { return strings.ReplaceAll(text, "$", "$$") }

func escapeAll(texts []string) []string {
	escaped := make([]string, len(texts))
	for i, text := range texts {
		escaped[i] = escape(text)
	}
	return escaped
}
