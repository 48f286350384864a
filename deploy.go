package flows

import (
	"strings"

	"github.com/kappaflows/flows/internal/deploy"
)

type deployCommand struct {
	Compose    deployComposeCommand    `cmd:"" help:"Print a Docker Compose file."`
	Kubernetes deployKubernetesCommand `cmd:"" help:"Print Kubernetes manifests."`
}

// deployFlags are those of both.
type deployFlags struct {
	Name       string `placeholder:"NAME" help:"Name of the app; the program's unless set."`
	Image      string `placeholder:"IMAGE" help:"Container image, whose entry point is the program; NAME:latest unless set."`
	Replicas   int    `default:"1" help:"Containers of each function, at most as many as its inputs have partitions."`
	Partitions int32  `default:"4" help:"Partitions of a topic whose declaration does not say how many."`
}

func (c *deployFlags) app(in *Invocation) (deploy.App, error) {
	functions, err := in.App.compile()
	if err != nil {
		return deploy.App{}, err
	}
	app := deploy.App{
		Name: c.Name, Image: c.Image, Functions: functions, Replicas: c.Replicas, Partitions: c.Partitions,
		BufferBytes: in.Settings.BufferBytes, CacheBytes: in.Settings.CacheBytes,
	}
	if app.Name == "" {
		app.Name = programName()
	}
	if app.Image == "" {
		app.Image = app.Name + ":latest"
	}
	return app, nil
}

type deployComposeCommand struct {
	deployFlags
	Program  string            `default:"/app" help:"Path of the program in the image, for health checks."`
	Build    string            `placeholder:"DIR" help:"Folder to build the image from."`
	BuildArg map[string]string `placeholder:"NAME=VALUE" help:"Argument of the build. May be given many times."`
	Services bool              `help:"Add a Kafka broker and a Postgres server, for trying things out."`
}

// Help is shown by deploy compose --help.
func (*deployComposeCommand) Help() string {
	return `One service a function, and two that make the topics and the tables first. KAFKA_BROKERS and POSTGRES_URL come from the environment of docker compose or its .env file; with --services, from the file itself.`
}

// Run prints the file.
func (c *deployComposeCommand) Run(in *Invocation) error {
	app, err := c.app(in)
	if err != nil {
		return err
	}
	compose := deploy.Compose{App: app, Program: c.Program, Build: c.Build, BuildArgs: c.BuildArg, Services: c.Services}
	return badDeployment(compose.Write(in.Stdout))
}

type deployKubernetesCommand struct {
	deployFlags
	Namespace    string `placeholder:"NAME" help:"Namespace of everything; kubectl's unless set."`
	Brokers      string `placeholder:"HOST:PORT,..." help:"Brokers as the containers reach them; those of --kafka-brokers, or kafka:9092, unless set."`
	Secret       string `placeholder:"NAME" help:"Secret with POSTGRES_URL and, where needed, KAFKA_TLS and the KAFKA_SASL_ variables; the app's name unless set."`
	Autoscale    string `enum:"none,hpa,keda" default:"none" help:"Let the lag decide how many containers a function has: hpa needs an adapter that serves the metric flows_lag_records of pods, keda its operator."`
	LagThreshold int64  `default:"10000" help:"With --autoscale: waiting messages for one container."`
}

// Help is shown by deploy kubernetes --help.
func (*deployKubernetesCommand) Help() string {
	return `One Deployment a function, with probes, limits and a disruption budget, a Service for each router, and a Job that makes the topics and the tables. The Secret is referred to and not printed.`
}

// Run prints the manifests.
func (c *deployKubernetesCommand) Run(in *Invocation) error {
	app, err := c.app(in)
	if err != nil {
		return err
	}
	kubernetes := deploy.Kubernetes{
		App: app, Namespace: c.Namespace, Brokers: c.Brokers, Secret: c.Secret,
		Autoscale: deploy.Autoscaler(c.Autoscale), LagThreshold: c.LagThreshold,
	}
	if kubernetes.Brokers == "" {
		kubernetes.Brokers = strings.Join(in.Settings.Kafka.Brokers, ",")
	}
	if kubernetes.Brokers == "" {
		kubernetes.Brokers = "kafka:9092"
	}
	return badDeployment(kubernetes.Write(in.Stdout))
}

// badDeployment makes what can't be deployed a mistake of whoever asked for it.
func badDeployment(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}
