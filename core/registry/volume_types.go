package registry

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// volumeService says who makes a type of volume.
type volumeService int

const (
	// byAgent: the node agent writes it, or a plugin that ships mounts it.
	byAgent volumeService = iota
	// byPlugin: a plugin of the type's name would, and none ships.
	byPlugin
	// byNobody: it needs API objects that are not served.
	byNobody
)

type volumeType struct {
	// name of the field, and in lower case of the plugin.
	name     string
	set      func(*corev1.VolumeSource) bool
	validate func(*corev1.VolumeSource, *field.Path) field.ErrorList
	service  volumeService
	// why it can't be served, of those that are not.
	why string
}

// volumeTypes are all sources that the API has, in its order.
var volumeTypes = []volumeType{
	{name: "hostPath", set: func(s *corev1.VolumeSource) bool { return s.HostPath != nil }, validate: validateHostPath},
	{name: "emptyDir", set: func(s *corev1.VolumeSource) bool { return s.EmptyDir != nil }, validate: validateEmptyDir},
	{name: "gcePersistentDisk", set: func(s *corev1.VolumeSource) bool { return s.GCEPersistentDisk != nil }, service: byPlugin},
	{name: "awsElasticBlockStore", set: func(s *corev1.VolumeSource) bool { return s.AWSElasticBlockStore != nil }, service: byPlugin},
	{name: "gitRepo", set: func(s *corev1.VolumeSource) bool { return s.GitRepo != nil }, service: byPlugin},
	{name: "secret", set: func(s *corev1.VolumeSource) bool { return s.Secret != nil }, validate: validateSecretVolume},
	{name: "nfs", set: func(s *corev1.VolumeSource) bool { return s.NFS != nil }, validate: validateNFS},
	{name: "iscsi", set: func(s *corev1.VolumeSource) bool { return s.ISCSI != nil }, service: byPlugin},
	{name: "glusterfs", set: func(s *corev1.VolumeSource) bool { return s.Glusterfs != nil }, service: byPlugin},
	{name: "persistentVolumeClaim", set: func(s *corev1.VolumeSource) bool { return s.PersistentVolumeClaim != nil }, service: byNobody,
		why: "PersistentVolumeClaim is not served: use a volume type directly, or a vendor's through csi"},
	{name: "rbd", set: func(s *corev1.VolumeSource) bool { return s.RBD != nil }, service: byPlugin},
	{name: "flexVolume", set: func(s *corev1.VolumeSource) bool { return s.FlexVolume != nil }, service: byPlugin},
	{name: "cinder", set: func(s *corev1.VolumeSource) bool { return s.Cinder != nil }, service: byPlugin},
	{name: "cephfs", set: func(s *corev1.VolumeSource) bool { return s.CephFS != nil }, service: byPlugin},
	{name: "flocker", set: func(s *corev1.VolumeSource) bool { return s.Flocker != nil }, service: byPlugin},
	{name: "downwardAPI", set: func(s *corev1.VolumeSource) bool { return s.DownwardAPI != nil }, validate: validateDownwardVolume},
	{name: "fc", set: func(s *corev1.VolumeSource) bool { return s.FC != nil }, service: byPlugin},
	{name: "azureFile", set: func(s *corev1.VolumeSource) bool { return s.AzureFile != nil }, service: byPlugin},
	{name: "configMap", set: func(s *corev1.VolumeSource) bool { return s.ConfigMap != nil }, validate: validateConfigMapVolume},
	{name: "vsphereVolume", set: func(s *corev1.VolumeSource) bool { return s.VsphereVolume != nil }, service: byPlugin},
	{name: "quobyte", set: func(s *corev1.VolumeSource) bool { return s.Quobyte != nil }, service: byPlugin},
	{name: "azureDisk", set: func(s *corev1.VolumeSource) bool { return s.AzureDisk != nil }, service: byPlugin},
	{name: "photonPersistentDisk", set: func(s *corev1.VolumeSource) bool { return s.PhotonPersistentDisk != nil }, service: byPlugin},
	{name: "projected", set: func(s *corev1.VolumeSource) bool { return s.Projected != nil }, validate: validateProjected},
	{name: "portworxVolume", set: func(s *corev1.VolumeSource) bool { return s.PortworxVolume != nil }, service: byPlugin},
	{name: "scaleIO", set: func(s *corev1.VolumeSource) bool { return s.ScaleIO != nil }, service: byPlugin},
	{name: "storageos", set: func(s *corev1.VolumeSource) bool { return s.StorageOS != nil }, service: byPlugin},
	{name: "csi", set: func(s *corev1.VolumeSource) bool { return s.CSI != nil }, validate: validateCSI},
	{name: "ephemeral", set: func(s *corev1.VolumeSource) bool { return s.Ephemeral != nil }, service: byNobody,
		why: "volumes that make a PersistentVolumeClaim are not served: use emptyDir, or a vendor's type through csi"},
	{name: "image", set: func(s *corev1.VolumeSource) bool { return s.Image != nil }, service: byNobody,
		why: "image volumes are not served: copy the files with an init container into an emptyDir"},
}
