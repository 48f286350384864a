// Package kubernetes_test holds what 'deploy kubernetes' prints against Kubernetes' own types, strictly: a field that they do
// not have, or of another type, is an error. It is a module of its own, so that nobody who uses the library gets
// Kubernetes' modules with it.
package kubernetes_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// scaledObject is KEDA's type, as far as it is used: its own module would bring a whole operator.
type scaledObject struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string            `json:"name"`
		Namespace string            `json:"namespace"`
		Labels    map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		ScaleTargetRef struct {
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
		MinReplicaCount *int32 `json:"minReplicaCount"`
		MaxReplicaCount *int32 `json:"maxReplicaCount"`
		CooldownPeriod  *int32 `json:"cooldownPeriod"`
		Triggers        []struct {
			Type     string            `json:"type"`
			Metadata map[string]string `json:"metadata"`
		} `json:"triggers"`
	} `json:"spec"`
}

// decode reads one document into the type of its kind.
func decode(t *testing.T, document []byte) any {
	var head struct{ APIVersion, Kind string }
	require.NoError(t, yaml.Unmarshal(document, &head))
	objects := map[string]any{
		"apps/v1 Deployment":                     &appsv1.Deployment{},
		"batch/v1 Job":                           &batchv1.Job{},
		"v1 Service":                             &corev1.Service{},
		"policy/v1 PodDisruptionBudget":          &policyv1.PodDisruptionBudget{},
		"autoscaling/v2 HorizontalPodAutoscaler": &autoscalingv2.HorizontalPodAutoscaler{},
		"keda.sh/v1alpha1 ScaledObject":          &scaledObject{},
	}
	object, known := objects[head.APIVersion+" "+head.Kind]
	require.True(t, known, "%s %s", head.APIVersion, head.Kind)
	require.NoError(t, yaml.UnmarshalStrict(document, object), "%s", document)
	return object
}

func TestManifestsAreOfKubernetesTypes(t *testing.T) {
	files, err := filepath.Glob("../../internal/deploy/testdata/kubernetes*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			deployments := map[string]*appsv1.Deployment{}
			var scaled []string
			for document := range bytes.SplitSeq(data, []byte("\n---\n")) {
				switch object := decode(t, document).(type) {
				case *appsv1.Deployment:
					deployments[object.Name] = object
					checkDeployment(t, object)
				case *batchv1.Job:
					require.Equal(t, corev1.RestartPolicyOnFailure, object.Spec.Template.Spec.RestartPolicy)
					checkPod(t, &object.Spec.Template.Spec)
				case *autoscalingv2.HorizontalPodAutoscaler:
					scaled = append(scaled, object.Spec.ScaleTargetRef.Name)
				case *scaledObject:
					scaled = append(scaled, object.Spec.ScaleTargetRef.Name)
				}
			}
			require.Len(t, deployments, 4)
			for _, name := range scaled {
				require.Contains(t, deployments, name)
				require.Nil(t, deployments[name].Spec.Replicas, "the autoscaler's number is its own")
			}
		})
	}
}

func checkDeployment(t *testing.T, d *appsv1.Deployment) {
	for name, value := range d.Spec.Selector.MatchLabels {
		require.Equal(t, value, d.Spec.Template.Labels[name])
	}
	pod := &d.Spec.Template.Spec
	checkPod(t, pod)
	require.Greater(t, *pod.TerminationGracePeriodSeconds, int64(10))
	container := pod.Containers[0]
	require.Equal(t, "/ready", container.ReadinessProbe.HTTPGet.Path)
	require.Equal(t, "/live", container.LivenessProbe.HTTPGet.Path)
	require.Equal(t, container.Ports[0].Name, container.LivenessProbe.HTTPGet.Port.StrVal)
	require.Positive(t, container.Resources.Limits.Memory().Value())
}

func checkPod(t *testing.T, pod *corev1.PodSpec) {
	require.True(t, *pod.SecurityContext.RunAsNonRoot)
	for _, container := range append(pod.InitContainers, pod.Containers...) {
		security := container.SecurityContext
		require.True(t, *security.ReadOnlyRootFilesystem)
		require.False(t, *security.AllowPrivilegeEscalation)
		require.Equal(t, []corev1.Capability{"ALL"}, security.Capabilities.Drop)
		for _, variable := range container.Env {
			if variable.Name == "POSTGRES_URL" {
				require.Empty(t, variable.Value)
				require.NotNil(t, variable.ValueFrom.SecretKeyRef)
			}
		}
	}
}
