package registry

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
)

// knownFields are the fields of a type that somebody decided on.
type knownFields struct{ served, all []string }

// fieldTables are all tables by the type that they are about.
func fieldTables(t *testing.T) map[reflect.Type]knownFields {
	tables := map[reflect.Type]knownFields{}
	addTable(t, tables, podSpecFields)
	addTable(t, tables, containerFields)
	addTable(t, tables, resourcesFields)
	addTable(t, tables, envSourceFields)
	addTable(t, tables, volumeMountFields)
	addTable(t, tables, lifecycleHandlerFields)
	addTable(t, tables, httpGetFields)
	addTable(t, tables, grpcFields)
	addTable(t, tables, podSecurityFields)
	addTable(t, tables, securityFields)
	addTable(t, tables, emptyDirFields)
	addTable(t, tables, secretVolumeFields)
	addTable(t, tables, configMapVolumeFields)
	addTable(t, tables, downwardVolumeFields)
	addTable(t, tables, projectedVolumeFields)
	addTable(t, tables, projectionFields)
	addTable(t, tables, keyToPathFields)
	addTable(t, tables, downwardFileFields)
	addTable(t, tables, serviceFields)
	addTable(t, tables, nodeFields)
	addTable(t, tables, leaseFields)

	var volumes knownFields
	for _, v := range volumeTypes {
		volumes.all = append(volumes.all, v.name)
		if v.service == byAgent {
			volumes.served = append(volumes.served, v.name)
		}
		if v.service == byNobody && v.why == "" {
			t.Errorf("volume type %s: says not why it is refused", v.name)
		}
	}
	tables[reflect.TypeFor[corev1.VolumeSource]()] = volumes
	return tables
}

func addTable[T any](t *testing.T, tables map[reflect.Type]knownFields, table fieldTable[T]) {
	t.Helper()
	typ := reflect.TypeFor[T]()
	all := slices.Clone(table.served)
	for _, f := range table.unserved {
		// A field may be served but for some of its values.
		if !slices.Contains(all, f.name) {
			all = append(all, f.name)
		}
		if f.why == "" {
			t.Errorf("%s.%s: says not why it is unserved", typ.Name(), f.name)
		}
		var zero T
		if f.asked(&zero) {
			t.Errorf("%s.%s: the zero value asks for it", typ.Name(), f.name)
		}
	}
	tables[typ] = knownFields{table.served, all}
}

// whole are the types below served fields that are served in full.
var whole = map[string]string{
	"Affinity":                 "nodeAffinity podAffinity podAntiAffinity",
	"CSIVolumeSource":          "driver readOnly fsType volumeAttributes nodePublishSecretRef",
	"Capabilities":             "add drop",
	"ClientIPConfig":           "timeoutSeconds",
	"ConfigMapEnvSource":       "name optional",
	"ConfigMapKeySelector":     "name key optional",
	"ConfigMapProjection":      "name items optional",
	"ContainerPort":            "name hostPort containerPort protocol hostIP",
	"DownwardAPIProjection":    "items",
	"EnvFromSource":            "prefix configMapRef secretRef",
	"EnvVar":                   "name value valueFrom",
	"ExecAction":               "command",
	"HTTPHeader":               "name value",
	"HostAlias":                "ip hostnames",
	"HostPathVolumeSource":     "path type",
	"Lifecycle":                "postStart preStop stopSignal",
	"LocalObjectReference":     "name",
	"NFSVolumeSource":          "server path readOnly",
	"NodeAffinity":             "requiredDuringSchedulingIgnoredDuringExecution preferredDuringSchedulingIgnoredDuringExecution",
	"NodeSelector":             "nodeSelectorTerms",
	"NodeSelectorRequirement":  "key operator values",
	"NodeSelectorTerm":         "matchExpressions matchFields",
	"ObjectFieldSelector":      "apiVersion fieldPath",
	"PodAffinity":              "requiredDuringSchedulingIgnoredDuringExecution preferredDuringSchedulingIgnoredDuringExecution",
	"PodAffinityTerm":          "labelSelector namespaces topologyKey namespaceSelector matchLabelKeys mismatchLabelKeys",
	"PodAntiAffinity":          "requiredDuringSchedulingIgnoredDuringExecution preferredDuringSchedulingIgnoredDuringExecution",
	"PodDNSConfig":             "nameservers searches options",
	"PodDNSConfigOption":       "name value",
	"PodReadinessGate":         "conditionType",
	"PodSchedulingGate":        "name",
	"PreferredSchedulingTerm":  "weight preference",
	"Probe":                    "exec httpGet tcpSocket grpc initialDelaySeconds timeoutSeconds periodSeconds successThreshold failureThreshold terminationGracePeriodSeconds",
	"ResourceFieldSelector":    "containerName resource divisor",
	"SeccompProfile":           "type localhostProfile",
	"SecretEnvSource":          "name optional",
	"SecretKeySelector":        "name key optional",
	"SecretProjection":         "name items optional",
	"ServicePort":              "name protocol appProtocol port targetPort nodePort",
	"SessionAffinityConfig":    "clientIP",
	"SleepAction":              "seconds",
	"Sysctl":                   "name value",
	"TCPSocketAction":          "port host",
	"Taint":                    "key value effect timeAdded",
	"Toleration":               "key operator value effect tolerationSeconds",
	"TopologySpreadConstraint": "maxSkew topologyKey whenUnsatisfiable labelSelector minDomains nodeAffinityPolicy nodeTaintsPolicy matchLabelKeys",
	"WeightedPodAffinityTerm":  "weight podAffinityTerm",
}

// Every field below a spec is served or listed as unserved. A new version of
// the API that brings a field fails here until somebody has decided which.
func TestEveryFieldIsServedOrListed(t *testing.T) {
	tables := fieldTables(t)
	seen, used := map[reflect.Type]bool{}, map[string]bool{}
	var walk func(typ reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || !strings.HasPrefix(typ.PkgPath(), "k8s.io/api/") || seen[typ] {
			return
		}
		seen[typ] = true
		table, ok := tables[typ]
		if names, isWhole := whole[typ.Name()]; isWhole && !ok {
			used[typ.Name()] = true
			table.all, ok = strings.Fields(names), true
			table.served = table.all
		}
		inlineOnly := typ.Name() == "Volume"
		if !ok && !inlineOnly {
			t.Errorf("type %s is served through some field and in no table: add it to one, or to those served in full: %s",
				typ.Name(), strings.Join(jsonNames(typ), " "))
			return
		}
		if !inlineOnly {
			expectNames(t, typ, table.all)
		}
		for f := range typ.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" || inlineOnly || slices.Contains(table.served, name) {
				walkField(f, table, walk)
			}
		}
	}
	walk(reflect.TypeFor[corev1.PodSpec]())
	walk(reflect.TypeFor[corev1.ServiceSpec]())
	walk(reflect.TypeFor[corev1.NodeSpec]())
	walk(reflect.TypeFor[coordinationv1.LeaseSpec]())
	for typ := range tables {
		if !seen[typ] {
			t.Errorf("the table of %s is of no use: nothing served leads there", typ.Name())
		}
	}
	for name := range whole {
		if !used[name] {
			t.Errorf("%s is listed as served and nothing served leads there", name)
		}
	}
}

// walkField goes on below a field; an inline struct that is no type of its own
// to the client has its fields in the outer table.
func walkField(f reflect.StructField, table knownFields, walk func(reflect.Type)) {
	if f.Anonymous && f.Type.Name() != "VolumeSource" {
		for inner := range f.Type.Fields() {
			name, _, _ := strings.Cut(inner.Tag.Get("json"), ",")
			if slices.Contains(table.served, name) {
				walk(inner.Type)
			}
		}
		return
	}
	walk(f.Type)
}

// expectNames compares names with the JSON names of a type's fields.
func expectNames(t *testing.T, typ reflect.Type, listed []string) {
	t.Helper()
	fields := jsonNames(typ)
	for _, name := range fields {
		if !slices.Contains(listed, name) {
			t.Errorf("%s.%s is neither served nor listed as unserved: decide which", typ.Name(), name)
		}
	}
	seen := map[string]bool{}
	for _, name := range listed {
		if !slices.Contains(fields, name) {
			t.Errorf("%s.%s is listed and there is no such field", typ.Name(), name)
		}
		if seen[name] {
			t.Errorf("%s.%s is listed twice", typ.Name(), name)
		}
		seen[name] = true
	}
}

func jsonNames(typ reflect.Type) []string {
	var names []string
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" && f.Anonymous {
			names = append(names, jsonNames(f.Type)...)
		} else if name != "" {
			names = append(names, name)
		}
	}
	return names
}

func TestEveryVolumeTypeLooksAtItsField(t *testing.T) {
	typ := reflect.TypeFor[corev1.VolumeSource]()
	for i := range typ.NumField() {
		source := reflect.New(typ)
		source.Elem().Field(i).Set(reflect.New(typ.Field(i).Type.Elem()))
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		for _, v := range volumeTypes {
			if v.set(source.Interface().(*corev1.VolumeSource)) != (v.name == name) {
				t.Errorf("volume type %s looks at the field of %s", v.name, name)
			}
		}
	}
}
