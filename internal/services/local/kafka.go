package local

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// node is what a process of Kafka is in its cluster.
type node struct {
	id int
	// roles are broker, controller, or both with a comma between.
	roles string
	// cluster is the cluster's id, and controller where its controller listens.
	cluster, controller string
	// copies is how many copies there are of everything, kept how many have what is acknowledged.
	copies, kept int
	// heap bounds the process's memory, as java has it.
	heap string
}

func (n node) is(role string) bool { return strings.Contains(n.roles, role) }

// properties is what is said of every node. Topics are made explicitly. Defaults that make a rebalance slow are lowered,
// and the time that a killed broker has to wait until its former self counts as gone.
func (n node) properties() string {
	return fmt.Sprintf(`process.roles=%s
node.id=%d
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=%s
auto.create.topics.enable=false
num.partitions=4
default.replication.factor=%[4]d
min.insync.replicas=%[5]d
offsets.topic.num.partitions=8
offsets.topic.replication.factor=%[4]d
transaction.state.log.num.partitions=8
transaction.state.log.replication.factor=%[4]d
transaction.state.log.min.isr=%[5]d
share.coordinator.state.topic.replication.factor=%[4]d
share.coordinator.state.topic.min.isr=%[5]d
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
`, n.roles, n.id, n.controller, n.copies, n.kept)
}

// StartKafka starts a Kafka broker of its own, which is its own controller.
func StartKafka(ctx context.Context, config Config) (*Service, error) {
	controller, err := freePort()
	if err != nil {
		return nil, err
	}
	return startNode(ctx, config, node{
		id: 1, roles: "broker,controller", cluster: clusterID(), controller: loopback(controller), copies: 1, kept: 1, heap: "768m",
	})
}

// startNode starts one process of Kafka.
func startNode(ctx context.Context, config Config, n node) (*Service, error) {
	service, err := newNode(ctx, config, n)
	if err != nil {
		return nil, err
	}
	if err := service.Start(ctx); err != nil {
		return nil, errors.Join(err, service.Remove())
	}
	return service, nil
}

// newNode prepares one process of Kafka.
func newNode(ctx context.Context, config Config, n node) (*Service, error) {
	java, err := findJava()
	if err != nil {
		return nil, err
	}
	jars, err := kafkaJars(ctx)
	if err != nil {
		return nil, err
	}
	dir, held, err := newFolder(config.Detached)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	service := &Service{
		Dir: dir, name: "kafka", config: config, folder: held,
		stopSignal: syscall.SIGTERM, deathSignal: syscall.SIGKILL,
	}
	if err := service.prepareKafka(ctx, n, java, jars); err != nil {
		return nil, errors.Join(err, service.Remove())
	}
	return service, nil
}

func findJava() (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		return filepath.Join(home, "bin", "java"), nil
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return "", fmt.Errorf("%w: Java 17 or later (java), which runs the Kafka broker", ErrMissing)
	}
	return java, nil
}

// prepareKafka chooses ports, writes server.properties and formats the folder of the data.
func (s *Service) prepareKafka(ctx context.Context, n node, java, jars string) error {
	listeners, err := s.listen(n)
	if err != nil {
		return err
	}
	file := filepath.Join(s.Dir, "server.properties")
	text := n.properties() + listeners + "log.dirs=" + filepath.Join(s.Dir, "data") + "\n" + strings.Join(s.config.Settings, "\n") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	classes := filepath.Join(jars, "*")
	s.program = []string{java, "-Xmx" + n.heap, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classes, "kafka.Kafka", file}

	arguments := []string{
		"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classes, "kafka.tools.StorageTool", "format", "-t", n.cluster, "-c", file,
	}
	if n.is("controller") {
		arguments = append(arguments, "--standalone")
	}
	if output, err := exec.CommandContext(ctx, java, arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("kafka: format: %w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}

// listen chooses the ports of the node's listeners and returns the properties of all.
func (s *Service) listen(n node) (string, error) {
	s.Listeners = map[string]string{}
	var listeners, advertised []string
	protocols := []string{"PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"}
	add := func(name, address, told string) {
		listeners = append(listeners, name+"://"+address)
		advertised = append(advertised, name+"://"+cmp.Or(told, address))
	}
	if n.is("controller") {
		s.Address = n.controller
		s.ready = func(ctx context.Context) error { return askPort(ctx, s.Address) }
		add("CONTROLLER", n.controller, "")
		advertised = nil // Who it is is said to its voters.
	}
	if n.is("broker") {
		port, err := s.port()
		if err != nil {
			return "", err
		}
		s.Address = loopback(port)
		s.ready = func(ctx context.Context) error { return askBroker(ctx, s.Address, n.id) }
		add("PLAINTEXT", s.Address, s.config.Advertised)
	}
	for name, protocol := range s.config.Listeners {
		port, err := freePort()
		if err != nil {
			return "", err
		}
		s.Listeners[name] = loopback(port)
		add(name, s.Listeners[name], "")
		protocols = append(protocols, name+":"+protocol)
	}
	text := "listeners=" + strings.Join(listeners, ",") + "\nlistener.security.protocol.map=" + strings.Join(protocols, ",") + "\n"
	if n.is("broker") {
		text += "advertised.listeners=" + strings.Join(advertised, ",") + "\n"
	}
	return text, nil
}

// port returns the one that is configured, or a free one.
func (s *Service) port() (int, error) {
	if s.config.Port != 0 {
		return s.config.Port, nil
	}
	return freePort()
}

// clusterID makes an id as Kafka writes them. The first bits are fixed so that it never looks like an option.
func clusterID() string {
	var id [16]byte
	rand.Read(id[:]) // It never fails.
	id[0] &= 0x3f
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// askBroker reports nil when the broker answers requests and counts itself among the live ones, which is some time
// after its port is open.
func askBroker(ctx context.Context, address string, id int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	defer client.Close()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{}
	// Only this broker is asked: it alone is known.
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, broker := range answer.Brokers {
		if int(broker.NodeID) == id {
			return nil
		}
	}
	return errors.New("the broker is not registered yet")
}

// askPort reports nil when somebody listens.
func askPort(ctx context.Context, address string) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return connection.Close()
}
