package deploy_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/kappaflows/flows/format"
	"github.com/kappaflows/flows/internal/deploy"
	"github.com/kappaflows/flows/runtime"
	"github.com/kappaflows/flows/topic"
)

var update = flag.Bool("update", false, "write what is printed into testdata")

func spec(name string, options ...topic.Option) *topic.Spec {
	return topic.New(name, format.String(), format.String(), options...).Spec()
}

// shop is an app with one function of every shape.
func shop() deploy.App {
	side := &runtime.Function{Name: "pay.orders", Kind: "join", Inputs: []*topic.Spec{spec("orders", topic.Partitions(6))}}
	return deploy.App{
		Name: "shop", Image: "registry.example/shop:1.2.0",
		Functions: []*runtime.Function{
			{Name: "accept", Kind: "router", Route: &runtime.Route{Method: "POST", Pattern: "/orders"}, Outputs: []*topic.Spec{spec("orders")}},
			{Name: "Check_Orders", Kind: "stateless", Inputs: []*topic.Spec{spec("orders", topic.Partitions(6))}, Options: runtime.Options{Delivery: runtime.AtLeastOnce}},
			{Name: "stock", Kind: "stateful", Inputs: []*topic.Spec{spec("accepted", topic.Partitions(2))}, State: &runtime.State{Table: runtime.StateTable{Name: "stock"}}},
			{Name: "pay", Kind: "join", Inputs: []*topic.Spec{spec("pay.intermediate")}, Parts: []*runtime.Function{side}, State: &runtime.State{Table: runtime.StateTable{Name: "pay"}}},
		},
		Replicas: 3,
	}
}

func TestGolden(t *testing.T) {
	compose := func(change func(*deploy.Compose)) func(*bytes.Buffer) error {
		c := deploy.Compose{App: shop(), Program: "/shop"}
		change(&c)
		return func(out *bytes.Buffer) error { return c.Write(out) }
	}
	kubernetes := func(change func(*deploy.Kubernetes)) func(*bytes.Buffer) error {
		k := deploy.Kubernetes{App: shop(), Brokers: "kafka-0:9092,kafka-1:9092"}
		change(&k)
		return func(out *bytes.Buffer) error { return k.Write(out) }
	}
	for name, render := range map[string]func(*bytes.Buffer) error{
		"compose.yaml": compose(func(*deploy.Compose) {}),
		"compose-services.yaml": compose(func(c *deploy.Compose) {
			c.Services, c.Build, c.BuildArgs = true, ".", map[string]string{"EXAMPLE": "shop", "PRICE": "$5"}
		}),
		"kubernetes.yaml":       kubernetes(func(*deploy.Kubernetes) {}),
		"kubernetes-small.yaml": kubernetes(func(k *deploy.Kubernetes) { k.BufferBytes, k.CacheBytes = 32<<20, 16<<20 }),
		"kubernetes-hpa.yaml": kubernetes(func(k *deploy.Kubernetes) {
			k.Autoscale, k.Namespace, k.Secret, k.Replicas = deploy.HorizontalPodAutoscaler, "shop", "database", 0
		}),
		"kubernetes-keda.yaml": kubernetes(func(k *deploy.Kubernetes) { k.Autoscale, k.LagThreshold = deploy.KEDA, 500 }),
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			require.NoError(t, render(&out))
			path := filepath.Join("testdata", name)
			if *update {
				require.NoError(t, os.WriteFile(path, out.Bytes(), 0o600))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(string(want), out.String()), "go test ./internal/deploy -update writes it anew")
		})
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	for want, app := range map[string]deploy.App{
		"the app has no name":               {Image: "i", Functions: shop().Functions},
		"there is no image":                 {Name: "n", Functions: shop().Functions},
		"the app has no functions":          {Name: "n", Image: "i"},
		"-1 replicas; it takes one or more": {Name: "n", Image: "i", Functions: shop().Functions, Replicas: -1},
	} {
		var out bytes.Buffer
		require.EqualError(t, deploy.Compose{App: app, Program: "/p"}.Write(&out), "deploy compose: "+want)
		require.EqualError(t, deploy.Kubernetes{App: app, Brokers: "k:9092"}.Write(&out), "deploy kubernetes: "+want)
		require.Empty(t, out.String())
	}
	var out bytes.Buffer
	require.EqualError(t, deploy.Compose{App: shop()}.Write(&out), "deploy compose: the path of the program in the image is missing")
	require.EqualError(t, deploy.Kubernetes{App: shop()}.Write(&out), "deploy kubernetes: the addresses of the Kafka brokers are missing")
	require.EqualError(t, deploy.Kubernetes{App: shop(), Brokers: "k:9092", Autoscale: "magic"}.Write(&out),
		`deploy kubernetes: autoscaler "magic"; none, hpa and keda are known`)
	for _, image := range []string{"a b", "a\tb", "a\n  privileged: true"} {
		app := shop()
		app.Image = image
		require.ErrorContains(t, deploy.Compose{App: app, Program: "/p"}.Write(&out), "is no name of an image")
	}
	taken := shop()
	taken.Functions[0].Name = "kafka"
	require.ErrorContains(t, deploy.Compose{App: taken, Program: "/p"}.Write(&out), `function "kafka" has the name of a service`)
}

var dns = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Names that a topic and so a function may have become names that Kubernetes takes, and different ones stay different.
func TestKubernetesNames(t *testing.T) {
	names := rapid.StringMatching(`[a-zA-Z0-9._-]{1,90}`)
	rapid.Check(t, func(t *rapid.T) {
		one, other := names.Draw(t, "one"), names.Draw(t, "other")
		a, b := deploymentName(t, one), deploymentName(t, other)
		require.Regexp(t, dns, a)
		require.Regexp(t, dns, b)
		require.Equal(t, one == other, a == b, "%s and %s", one, other)
	})
}

func deploymentName(t require.TestingT, function string) string {
	app := shop()
	app.Functions = []*runtime.Function{{Name: function, Inputs: []*topic.Spec{spec("in")}}}
	var out bytes.Buffer
	require.NoError(t, deploy.Kubernetes{App: app, Brokers: "k:9092"}.Write(&out))
	decoder := yaml.NewDecoder(&out)
	for {
		var document struct {
			Kind     string
			Metadata struct{ Name string }
		}
		require.NoError(t, decoder.Decode(&document))
		if document.Kind == "Deployment" {
			return document.Metadata.Name
		}
	}
}

// Whatever is in a value, the document stays what it is and the value comes back.
func TestValuesCannotBreakOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		app := shop()
		app.Image = rapid.StringMatching(`[!-~]{1,40}`).Draw(t, "image")
		var out bytes.Buffer
		require.NoError(t, deploy.Compose{App: app, Program: "/shop"}.Write(&out))
		var document struct {
			Services map[string]struct{ Image string }
		}
		require.NoError(t, yaml.Unmarshal(out.Bytes(), &document))
		require.Len(t, document.Services, len(app.Functions)+2)
		require.Equal(t, app.Image, strings.ReplaceAll(document.Services["stock"].Image, "$$", "$"))
	})
}

func TestNoSecretIsPrinted(t *testing.T) {
	t.Setenv("POSTGRES_URL", "postgres://u:geheim@h/d")
	var out bytes.Buffer
	require.NoError(t, deploy.Compose{App: shop(), Program: "/shop"}.Write(&out))
	require.NoError(t, deploy.Kubernetes{App: shop(), Brokers: "k:9092"}.Write(&out))
	require.NotContains(t, out.String(), "geheim")
}
