package openapi

import (
	"reflect"
	"strings"
)

// atomicStructs are replaced as a whole by apply (+structType=atomic).
var atomicStructs = map[string]string{
	"SecretReference": "atomic", "FileKeySelector": "atomic", "ObjectFieldSelector": "atomic",
	"ResourceFieldSelector": "atomic", "ConfigMapKeySelector": "atomic", "SecretKeySelector": "atomic",
	"NodeSelector": "atomic", "NodeSelectorTerm": "atomic", "TopologySelectorTerm": "atomic",
	"EvictionResponder": "atomic", "EndpointAddress": "atomic", "EndpointPort": "atomic",
	"ObjectReference": "atomic", "LocalObjectReference": "atomic", "TypedLocalObjectReference": "atomic",
	"ScopeSelector": "atomic", "OwnerReference": "atomic", "LabelSelector": "atomic",
}

// marker is what a field's comment says and its tags do not.
type marker struct {
	listType, mapType string
	keys              []string
	defaultValue      any
}

func keyed(keys ...string) marker { return marker{listType: "map", keys: keys} }

// markers of fields that differ from what their tags suggest, from the
// comments of k8s.io/api.
var markers = map[string]marker{
	"Container.ports":                                 keyed("containerPort", "protocol"),
	"EphemeralContainerCommon.ports":                  keyed("containerPort", "protocol"),
	"ServiceSpec.ports":                               keyed("port", "protocol"),
	"PodSpec.topologySpreadConstraints":               keyed("topologyKey", "whenUnsatisfiable"),
	"VolumeHealthStatus.healthConditions":             keyed("status", "reason"),
	"PodVolumeHealth.healthConditions":                keyed("status", "reason"),
	"PodStatus.volumeHealth":                          keyed("name"),
	"ResourceRequirements.claims":                     keyed("name"),
	"ResourceStatus.resources":                        keyed("resourceID"),
	"PodStatus.hostIPs":                               {listType: "atomic"},
	"VolumeMount.bindMountOptions":                    {listType: "set"},
	"ContainerRestartRuleOnExitCodes.values":          {listType: "set"},
	"NodePodPreemptionPolicy.disableResizePreemption": {listType: "set"},
	"NodeAllocatableResourceClaimStatus.containers":   {listType: "set"},
	"Endpoint.addresses":                              {listType: "set"},
	"PodSpec.nodeSelector":                            {mapType: "atomic"},
	"ReplicationControllerSpec.selector":              {mapType: "atomic"},
	"ServiceSpec.selector":                            {mapType: "atomic"},
	"ContainerPort.protocol":                          {defaultValue: "TCP"},
	"ServicePort.protocol":                            {defaultValue: "TCP"},
	"ReplicationControllerSpec.replicas":              {defaultValue: 1},
	"ReplicationControllerSpec.minReadySeconds":       {defaultValue: 0},
	"ScaleSpec.replicas":                              {defaultValue: 0},
}

// mark adds how lists and maps are merged: from the tags of strategic merge
// patch, where a list without any is atomic, and from markers.
func mark(p *Schema, parent reflect.Type, name string, f reflect.StructField) {
	p.PatchStrategy = f.Tag.Get("patchStrategy")
	p.PatchMergeKey = f.Tag.Get("patchMergeKey")
	if p.Type == "array" && !(strings.HasSuffix(parent.Name(), "List") && name == "items") {
		switch {
		case p.PatchMergeKey != "":
			p.ListType, p.ListMapKeys = "map", []string{p.PatchMergeKey}
		case strings.Contains(p.PatchStrategy, "merge"):
			p.ListType = "set"
		default:
			p.ListType = "atomic"
		}
	}
	m, ok := markers[parent.Name()+"."+name]
	if !ok {
		return
	}
	if m.listType != "" {
		p.ListType, p.ListMapKeys = m.listType, m.keys
	}
	p.MapType = m.mapType
	p.Default = m.defaultValue
}
