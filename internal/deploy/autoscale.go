package deploy

import (
	"strconv"

	"github.com/kappaflows/flows/runtime"
)

// scaler returns what changes the number of a function's containers; nil where nothing does, or where it is to have as
// many as can be of use anyway.
func (k Kubernetes) scaler(f *runtime.Function) object {
	most := int(k.widest(f))
	if f.Route != nil || k.replicas(f) >= most {
		return nil
	}
	switch k.Autoscale {
	case HorizontalPodAutoscaler:
		return k.podAutoscaler(f, most)
	case KEDA:
		return k.scaledObject(f, most)
	default:
		return nil
	}
}

func (k Kubernetes) threshold() string {
	if k.LagThreshold == 0 {
		return strconv.Itoa(defaultLagThreshold)
	}
	return strconv.FormatInt(k.LagThreshold, 10)
}

func (k Kubernetes) podAutoscaler(f *runtime.Function, most int) object {
	name := label(k.Name, f.Name)
	return object{
		"apiVersion": "autoscaling/v2",
		"kind":       "HorizontalPodAutoscaler",
		"metadata":   k.metadata(name, k.labels(f.Name)),
		"spec": object{
			"scaleTargetRef": object{"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
			"minReplicas":    k.replicas(f),
			"maxReplicas":    most,
			"metrics": []object{{
				"type": "Pods",
				"pods": object{
					"metric": object{"name": "flows_lag_records"},
					"target": object{"type": "AverageValue", "averageValue": k.threshold()},
				},
			}},
			// Each change moves partitions, and with them caches.
			"behavior": object{"scaleDown": object{"stabilizationWindowSeconds": 600}},
		},
	}
}

func (k Kubernetes) scaledObject(f *runtime.Function, most int) object {
	name := label(k.Name, f.Name)
	var triggers []object
	for _, part := range withParts(f) {
		for _, input := range part.Inputs {
			triggers = append(triggers, object{
				"type": "kafka",
				"metadata": object{
					"bootstrapServers":   k.Brokers,
					"consumerGroup":      part.Name,
					"topic":              input.Name,
					"lagThreshold":       k.threshold(),
					"offsetResetPolicy":  "earliest",
					"allowIdleConsumers": "false",
				},
			})
		}
	}
	return object{
		"apiVersion": "keda.sh/v1alpha1",
		"kind":       "ScaledObject",
		"metadata":   k.metadata(name, k.labels(f.Name)),
		"spec": object{
			"scaleTargetRef":  object{"name": name},
			"minReplicaCount": k.replicas(f),
			"maxReplicaCount": most,
			"cooldownPeriod":  600,
			"triggers":        triggers,
		},
	}
}
