package local

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// properties is what is said of every broker: one node that is broker and controller, and topics that are made
// explicitly. Defaults that make a rebalance slow are lowered, and the
// time that a killed broker has to wait until its former self counts as gone.
const properties = `process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
auto.create.topics.enable=false
num.partitions=4
default.replication.factor=1
offsets.topic.num.partitions=8
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
`

// StartKafka starts a Kafka broker of its own.
func StartKafka(ctx context.Context, config Config) (*Service, error) {
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
	broker := &Service{
		Dir: dir, name: "kafka", config: config, folder: held,
		stopSignal: syscall.SIGTERM, deathSignal: syscall.SIGKILL,
	}
	if err := broker.prepareKafka(ctx, java, jars); err != nil {
		return nil, errors.Join(err, broker.Remove())
	}
	if err := broker.Start(ctx); err != nil {
		return nil, errors.Join(err, broker.Remove())
	}
	return broker, nil
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
func (s *Service) prepareKafka(ctx context.Context, java, jars string) error {
	port := s.config.Port
	if port == 0 {
		var err error
		if port, err = freePort(); err != nil {
			return err
		}
	}
	s.Address = loopback(port)
	s.ready = func(ctx context.Context) error { return askBroker(ctx, s.Address) }
	listeners, err := s.listen()
	if err != nil {
		return err
	}
	file := filepath.Join(s.Dir, "server.properties")
	text := properties + listeners + "log.dirs=" + filepath.Join(s.Dir, "data") + "\n" + strings.Join(s.config.Settings, "\n") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	classes := filepath.Join(jars, "*")
	s.program = []string{java, "-Xmx768m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classes, "kafka.Kafka", file}

	format := exec.CommandContext(ctx, java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classes,
		"kafka.tools.StorageTool", "format", "--standalone", "-t", clusterID(), "-c", file)
	if output, err := format.CombinedOutput(); err != nil {
		return fmt.Errorf("kafka: format: %w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}

// listen chooses the ports of the broker's further listeners and returns the properties of all.
func (s *Service) listen() (string, error) {
	controller, err := freePort()
	if err != nil {
		return "", err
	}
	s.Listeners = map[string]string{}
	advertised := []string{"PLAINTEXT://" + s.Address}
	protocols := []string{"PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"}
	for name, protocol := range s.config.Listeners {
		port, err := freePort()
		if err != nil {
			return "", err
		}
		s.Listeners[name] = loopback(port)
		advertised = append(advertised, name+"://"+s.Listeners[name])
		protocols = append(protocols, name+":"+protocol)
	}
	return fmt.Sprintf("listeners=%[1]s,CONTROLLER://%[2]s\nadvertised.listeners=%[1]s\ncontroller.quorum.bootstrap.servers=%[2]s\n"+
		"listener.security.protocol.map=%[3]s\n", strings.Join(advertised, ","), loopback(controller), strings.Join(protocols, ",")), nil
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
func askBroker(ctx context.Context, address string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	defer client.Close()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{}
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if len(answer.Brokers) == 0 {
		return errors.New("the broker is not registered yet")
	}
	return nil
}
