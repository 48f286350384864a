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

// Kubernetes says how manifests are made.
type Kubernetes struct {
	App
	// Namespace is where everything goes; empty leaves it to kubectl.
	Namespace string
	// Brokers are the addresses of the Kafka brokers, separated by commas.
	Brokers string
	// Secret is the name of the Secret that has POSTGRES_URL and, where they are needed, the KAFKA_SASL_ variables; empty
	// is the app's name. It is referred to and never printed.
	Secret string
	// Autoscale lets the lag of a function decide how many containers it has, from Replicas to its partitions.
	Autoscale Autoscaler
	// LagThreshold is how many waiting messages a container is for; 0 is 10,000.
	LagThreshold int64
}

// Autoscaler is what changes the number of containers.
type Autoscaler string

const (
	// NoAutoscaler leaves the number as it is.
	NoAutoscaler Autoscaler = "none"
	// HorizontalPodAutoscaler is Kubernetes' own. It needs an adapter that serves the metric flows_lag_records of pods.
	HorizontalPodAutoscaler Autoscaler = "hpa"
	// KEDA asks the brokers for the lag; its operator must be there.
	KEDA Autoscaler = "keda"
)

const defaultLagThreshold = 10_000

// Write writes the manifests: a Job for topics and tables, and for each function a Deployment and what belongs to it.
func (k Kubernetes) Write(w io.Writer) error {
	k.App = k.withDefaults()
	if err := k.validate(); err != nil {
		return fmt.Errorf("deploy kubernetes: %w", err)
	}
	documents := []object{k.prepare()}
	for _, f := range k.Functions {
		documents = append(documents, k.deployment(f), k.disruptionBudget(f))
		if f.Route != nil {
			documents = append(documents, k.service(f))
		} else if scaler := k.scaler(f); scaler != nil {
			documents = append(documents, scaler)
		}
	}
	return write(w, k.header(), documents...)
}

func (k Kubernetes) validate() error {
	if err := k.App.validate(); err != nil {
		return err
	}
	switch {
	case k.Brokers == "":
		return errors.New("the addresses of the Kafka brokers are missing")
	case !oneWord(k.Brokers) || !oneWord(k.Namespace) || !oneWord(k.Secret):
		return errors.New("brokers, namespace and secret are names without spaces")
	case k.LagThreshold < 0:
		return fmt.Errorf("a lag threshold of %d", k.LagThreshold)
	}
	switch k.Autoscale {
	case "", NoAutoscaler, HorizontalPodAutoscaler, KEDA:
		return nil
	default:
		return fmt.Errorf("autoscaler %q; %s, %s and %s are known", k.Autoscale, NoAutoscaler, HorizontalPodAutoscaler, KEDA)
	}
}

func (k Kubernetes) header() string {
	if !k.needsStore() {
		return "# One Deployment a function. Printed by 'deploy kubernetes'.\n"
	}
	return fmt.Sprintf("# One Deployment a function. They take POSTGRES_URL from the Secret %s, which is not printed here.\n"+
		"# Printed by 'deploy kubernetes'.\n", k.secret())
}

func (k Kubernetes) secret() string {
	if k.Secret != "" {
		return k.Secret
	}
	return label(k.Name)
}

func (k Kubernetes) metadata(name string, labels object) object {
	made := object{"name": name, "labels": labels}
	if k.Namespace != "" {
		made["namespace"] = k.Namespace
	}
	return made
}

// selector are the labels that tell the containers of a function from others; they never change.
func (k Kubernetes) selector(component string) object {
	return object{"app.kubernetes.io/name": label(k.Name), "app.kubernetes.io/component": label(component)}
}

func (k Kubernetes) labels(component string) object {
	labels := k.selector(component)
	labels["app.kubernetes.io/managed-by"] = "flows"
	return labels
}

// prepare is the Job that makes topics and tables. A Job can't be changed, so that another image makes another one.
func (k Kubernetes) prepare() object {
	topics := []string{"topics", "create", "--partitions", strconv.Itoa(int(k.Partitions))}
	component := "prepare-" + hash(k.Image+strings.Join(topics, " "))
	pod := k.pod()
	steps := []object{k.container("topics", false, topics...)}
	if k.needsStore() {
		steps = append(steps, k.container("migrate", true, "migrate"))
	}
	if last := len(steps) - 1; last > 0 {
		pod["initContainers"] = steps[:last]
	}
	pod["containers"] = steps[len(steps)-1:]
	pod["restartPolicy"] = "OnFailure"
	labels := k.labels("prepare")
	return object{
		"apiVersion": "batch/v1",
		"kind":       "Job",
		"metadata":   k.metadata(label(k.Name, component), labels),
		"spec": object{
			"backoffLimit":            10,
			"ttlSecondsAfterFinished": 86400,
			"template":                object{"metadata": object{"labels": labels}, "spec": pod},
		},
	}
}

// pod is what all pods have in common.
func (k Kubernetes) pod() object {
	return object{
		"automountServiceAccountToken": false,
		"securityContext": object{
			"runAsNonRoot": true, "runAsUser": user, "runAsGroup": user, "seccompProfile": object{"type": "RuntimeDefault"},
		},
	}
}

// container is what all containers have in common.
func (k Kubernetes) container(name string, store bool, args ...string) object {
	environment := []object{{"name": "KAFKA_BROKERS", "value": k.Brokers}, {"name": "LOG_FORMAT", "value": "json"}}
	if store {
		environment = append(environment, k.fromSecret("POSTGRES_URL", false))
	}
	for _, name := range connectionSettings {
		environment = append(environment, k.fromSecret(name, true))
	}
	return object{
		"name":  name,
		"image": k.Image,
		"args":  args,
		"env":   environment,
		"resources": object{
			"requests": object{"cpu": "50m", "memory": "64Mi"},
			"limits":   object{"memory": "128Mi"},
		},
		"securityContext": object{
			"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": object{"drop": []string{"ALL"}},
		},
	}
}

func (k Kubernetes) fromSecret(variable string, optional bool) object {
	key := object{"name": k.secret(), "key": variable}
	if optional {
		key["optional"] = true
	}
	return object{"name": variable, "valueFrom": object{"secretKeyRef": key}}
}

func (k Kubernetes) deployment(f *runtime.Function) object {
	pod := k.pod()
	pod["containers"] = []object{k.functionContainer(f)}
	pod["terminationGracePeriodSeconds"] = graceSeconds
	spec := object{
		"selector": object{"matchLabels": k.selector(f.Name)},
		"strategy": object{"type": "RollingUpdate", "rollingUpdate": rollingUpdate(f)},
		"template": object{
			"metadata": object{
				"labels": k.labels(f.Name),
				"annotations": object{
					"prometheus.io/scrape": "true", "prometheus.io/path": "/metrics", "prometheus.io/port": strconv.Itoa(httpPort),
				},
			},
			"spec": pod,
		},
	}
	if k.scaler(f) == nil { // a number here would undo at each apply what the autoscaler has decided
		spec["replicas"] = k.replicas(f)
	}
	return object{
		"apiVersion": "apps/v1",
		"kind":       "Deployment",
		"metadata":   k.metadata(label(k.Name, f.Name), k.labels(f.Name)),
		"spec":       spec,
	}
}

// rollingUpdate lets a new container start after an old one has left, since they share partitions and one more would
// only make them move twice; where requests come in, before.
func rollingUpdate(f *runtime.Function) object {
	if f.Route != nil {
		return object{"maxSurge": 1, "maxUnavailable": 0}
	}
	return object{"maxSurge": 0, "maxUnavailable": 1}
}

func (k Kubernetes) functionContainer(f *runtime.Function) object {
	made := k.container("function", needsStore(f), "run", f.Name)
	memory := k.memoryMiB(f)
	environment := append(made["env"].([]object), object{"name": "HTTP_ADDR", "value": ":" + strconv.Itoa(httpPort)})
	bounds := k.bounds(memory)
	for _, name := range slices.Sorted(maps.Keys(bounds)) {
		environment = append(environment, object{"name": name, "value": bounds[name]})
	}
	made["env"] = environment
	probe := func(path string, more object) object {
		made := object{"httpGet": object{"path": path, "port": "http"}, "periodSeconds": 5, "timeoutSeconds": 5}
		maps.Copy(made, more)
		return made
	}
	maps.Copy(made, object{
		"ports": []object{{"name": "http", "containerPort": httpPort}},
		"resources": object{
			"requests": object{"cpu": "100m", "memory": fmt.Sprintf("%dMi", memory/2)},
			"limits":   object{"memory": fmt.Sprintf("%dMi", memory)},
		},
		// Restarting helps neither against a broker that is away nor against a message that is bad: only a process that
		// does not answer is not alive.
		"startupProbe":   probe("/live", object{"failureThreshold": 24}),
		"livenessProbe":  probe("/live", object{"failureThreshold": 6}),
		"readinessProbe": probe("/ready", object{"failureThreshold": 2}),
	})
	return made
}

func (k Kubernetes) disruptionBudget(f *runtime.Function) object {
	return object{
		"apiVersion": "policy/v1",
		"kind":       "PodDisruptionBudget",
		"metadata":   k.metadata(label(k.Name, f.Name), k.labels(f.Name)),
		"spec": object{
			"maxUnavailable": 1,
			"selector":       object{"matchLabels": k.selector(f.Name)},
		},
	}
}

func (k Kubernetes) service(f *runtime.Function) object {
	return object{
		"apiVersion": "v1",
		"kind":       "Service",
		"metadata":   k.metadata(label(k.Name, f.Name), k.labels(f.Name)),
		"spec": object{
			"ports":    []object{{"name": "http", "port": 80, "targetPort": "http"}},
			"selector": k.selector(f.Name),
		},
	}
}
