package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// The compose file in the root is what its first line says that it is, and its image what the Dockerfile there makes.
func TestComposeFileIsThatOfTheShop(t *testing.T) {
	file, err := os.ReadFile("../../docker-compose.yml")
	require.NoError(t, err)
	first, _, _ := strings.Cut(string(file), "\n")
	line, found := strings.CutPrefix(first, "# Printed by: shop ")
	require.True(t, found, first)
	var out, problems bytes.Buffer
	status := shop().With(newGenerate()).Execute(t.Context(), strings.Fields(line), strings.NewReader(""), &out, &problems)
	require.Zero(t, status, problems.String())
	require.Empty(t, cmp.Diff(out.String(), string(file)), "go run ./example/shop %s > docker-compose.yml writes it anew", line)

	dockerfile, err := os.ReadFile("../../Dockerfile")
	require.NoError(t, err)
	require.Contains(t, string(dockerfile), "\nARG EXAMPLE=shop\n")
	require.Contains(t, string(file), "\n      context: .\n")
}
