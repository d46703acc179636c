// Renders a chart as "helm template" does, with Helm's own code and without a cluster.
//
//	helm-render render CHART [VALUES...]   the manifests, one YAML document each, in the order of their files
//	helm-render notes CHART [VALUES...]    what "helm install" says at its end
//	helm-render monitors                   standard input: ServiceMonitors, which must have no unknown field
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "monitors":
		return checkMonitors(os.Stdin)
	case len(args) >= 2 && (args[0] == "render" || args[0] == "notes"):
		return render(args[1], args[2:], args[0] == "notes")
	}
	return fmt.Errorf("usage: helm-render render|notes CHART [VALUES...], helm-render monitors")
}

func render(folder string, valueFiles []string, notes bool) error {
	chart, err := loader.Load(folder)
	if err != nil {
		return err
	}
	given := chartutil.Values{}
	for _, file := range valueFiles {
		values, err := chartutil.ReadValuesFile(file)
		if err != nil {
			return err
		}
		given = chartutil.CoalesceTables(values, given)
	}
	release := chartutil.ReleaseOptions{Name: "mirror", Namespace: "registry", Revision: 1, IsInstall: true}
	// Checks the values against values.schema.json.
	values, err := chartutil.ToRenderValues(chart, given, release, chartutil.DefaultCapabilities)
	if err != nil {
		return err
	}
	files, err := engine.Engine{Strict: true}.Render(chart, values)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		isNotes := path.Base(name) == "NOTES.txt"
		if isNotes != notes || strings.TrimSpace(files[name]) == "" {
			continue
		}
		if !notes {
			fmt.Println("---")
		}
		fmt.Println(strings.TrimSpace(files[name]))
	}
	return nil
}

func checkMonitors(input io.Reader) error {
	text, err := io.ReadAll(input)
	if err != nil {
		return err
	}
	for _, document := range bytes.Split(text, []byte("\n---\n")) {
		var monitor monitoring.ServiceMonitor
		if err := yaml.UnmarshalStrict(document, &monitor); err != nil {
			return err
		}
		if monitor.Kind != "ServiceMonitor" || len(monitor.Spec.Endpoints) == 0 {
			return fmt.Errorf("this is no ServiceMonitor with an endpoint: %q", monitor.Name)
		}
	}
	return nil
}
