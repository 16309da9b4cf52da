// flux release: reads a HelmRelease as YAML and writes it as JSON, or says which field its type does not have.
// flux health: reads an object as JSON and says what Flux makes of its status.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	helm "github.com/fluxcd/helm-controller/api/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "flux:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	switch fmt.Sprint(arguments) {
	case "[release]":
		var release helm.HelmRelease
		if err := yaml.UnmarshalStrict(input, &release); err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(release)
	case "[health]":
		var object unstructured.Unstructured
		if err := object.UnmarshalJSON(input); err != nil {
			return err
		}
		result, err := status.Compute(&object)
		if err != nil {
			return err
		}
		fmt.Println(result.Status)
		return nil
	}
	return fmt.Errorf("usage: flux release|health")
}
