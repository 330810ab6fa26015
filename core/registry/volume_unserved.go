package registry

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const noFileOwner = "owners of single files are not served: files belong to root and to the pod's fsGroup"

var emptyDirFields = fieldTable[corev1.EmptyDirVolumeSource]{
	served: []string{"medium", "sizeLimit"},
	unserved: []unservedField[corev1.EmptyDirVolumeSource]{
		{"medium", func(s *corev1.EmptyDirVolumeSource) bool {
			return s.Medium != corev1.StorageMediumDefault && s.Medium != corev1.StorageMediumMemory
		}, true, "only the node's default medium and Memory are served"},
		{"mode", func(s *corev1.EmptyDirVolumeSource) bool { return s.Mode != nil }, true,
			"the mode of a directory can't be chosen: it is 0777"},
	},
}

var secretVolumeFields = fieldTable[corev1.SecretVolumeSource]{
	served: []string{"secretName", "items", "defaultMode", "optional"},
	unserved: []unservedField[corev1.SecretVolumeSource]{
		{"defaultUser", func(s *corev1.SecretVolumeSource) bool { return s.DefaultUser != nil }, true, noFileOwner},
	},
}

var configMapVolumeFields = fieldTable[corev1.ConfigMapVolumeSource]{
	served: []string{"name", "items", "defaultMode", "optional"},
	unserved: []unservedField[corev1.ConfigMapVolumeSource]{
		{"defaultUser", func(s *corev1.ConfigMapVolumeSource) bool { return s.DefaultUser != nil }, true, noFileOwner},
	},
}

var downwardVolumeFields = fieldTable[corev1.DownwardAPIVolumeSource]{
	served: []string{"items", "defaultMode"},
	unserved: []unservedField[corev1.DownwardAPIVolumeSource]{
		{"defaultUser", func(s *corev1.DownwardAPIVolumeSource) bool { return s.DefaultUser != nil }, true, noFileOwner},
	},
}

var projectedVolumeFields = fieldTable[corev1.ProjectedVolumeSource]{
	served: []string{"sources", "defaultMode"},
	unserved: []unservedField[corev1.ProjectedVolumeSource]{
		{"defaultUser", func(s *corev1.ProjectedVolumeSource) bool { return s.DefaultUser != nil }, true, noFileOwner},
	},
}

var keyToPathFields = fieldTable[corev1.KeyToPath]{
	served: []string{"key", "path", "mode"},
	unserved: []unservedField[corev1.KeyToPath]{
		{"user", func(k *corev1.KeyToPath) bool { return k.User != nil }, true, noFileOwner},
	},
}

var downwardFileFields = fieldTable[corev1.DownwardAPIVolumeFile]{
	served: []string{"path", "fieldRef", "resourceFieldRef", "mode"},
	unserved: []unservedField[corev1.DownwardAPIVolumeFile]{
		{"user", func(f *corev1.DownwardAPIVolumeFile) bool { return f.User != nil }, true, noFileOwner},
	},
}

var projectionFields = fieldTable[corev1.VolumeProjection]{
	served: []string{"secret", "downwardAPI", "configMap"},
	unserved: []unservedField[corev1.VolumeProjection]{
		{"serviceAccountToken", func(p *corev1.VolumeProjection) bool { return p.ServiceAccountToken != nil }, true,
			"service account tokens are not served"},
		{"clusterTrustBundle", func(p *corev1.VolumeProjection) bool { return p.ClusterTrustBundle != nil }, true,
			"ClusterTrustBundle is not served"},
		{"podCertificate", func(p *corev1.VolumeProjection) bool { return p.PodCertificate != nil }, true,
			"pod certificates are not served"},
	},
}

func unservedVolume(r *unservedReport, v, old *corev1.Volume, path *field.Path) {
	if old != nil && equality.Semantic.DeepEqual(v, old) {
		return
	}
	for _, t := range volumeTypes {
		if t.service == byAgent || !t.set(&v.VolumeSource) || old != nil && t.set(&old.VolumeSource) {
			continue
		}
		if t.service == byNobody {
			r.add(true, path.Child(t.name), t.why)
		} else {
			r.add(false, path.Child(t.name), "no plugin for this type of volume ships: the pod waits on its node until one named "+strings.ToLower(t.name)+" runs there")
		}
	}
	emptyDirFields.check(r, v.EmptyDir, nil, path.Child("emptyDir"))
	if s := v.Secret; s != nil {
		secretVolumeFields.check(r, s, nil, path.Child("secret"))
		unservedEach(r, keyToPathFields, s.Items, path.Child("secret", "items"))
	}
	if s := v.ConfigMap; s != nil {
		configMapVolumeFields.check(r, s, nil, path.Child("configMap"))
		unservedEach(r, keyToPathFields, s.Items, path.Child("configMap", "items"))
	}
	if s := v.DownwardAPI; s != nil {
		downwardVolumeFields.check(r, s, nil, path.Child("downwardAPI"))
		unservedEach(r, downwardFileFields, s.Items, path.Child("downwardAPI", "items"))
	}
	if s := v.Projected; s != nil {
		projectedVolumeFields.check(r, s, nil, path.Child("projected"))
		for i := range s.Sources {
			unservedProjection(r, &s.Sources[i], path.Child("projected", "sources").Index(i))
		}
	}
}

func unservedProjection(r *unservedReport, p *corev1.VolumeProjection, path *field.Path) {
	projectionFields.check(r, p, nil, path)
	if p.Secret != nil {
		unservedEach(r, keyToPathFields, p.Secret.Items, path.Child("secret", "items"))
	}
	if p.ConfigMap != nil {
		unservedEach(r, keyToPathFields, p.ConfigMap.Items, path.Child("configMap", "items"))
	}
	if p.DownwardAPI != nil {
		unservedEach(r, downwardFileFields, p.DownwardAPI.Items, path.Child("downwardAPI", "items"))
	}
}

func unservedEach[T any](r *unservedReport, table fieldTable[T], items []T, path *field.Path) {
	for i := range items {
		table.check(r, &items[i], nil, path.Index(i))
	}
}
