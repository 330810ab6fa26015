package api

import corev1 "k8s.io/api/core/v1"

// references calls visit with every object of its namespace that a pod refers
// to by name, until visit returns false.
func references(pod *corev1.Pod, visit func(resource, name string) bool) {
	if pod.Spec.ServiceAccountName != "" && !visit("serviceaccounts", pod.Spec.ServiceAccountName) {
		return
	}
	for _, ref := range pod.Spec.ImagePullSecrets {
		if !visit("secrets", ref.Name) {
			return
		}
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if !containerReferences(list[i].EnvFrom, list[i].Env, visit) {
				return
			}
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		c := &pod.Spec.EphemeralContainers[i]
		if !containerReferences(c.EnvFrom, c.Env, visit) {
			return
		}
	}
	for i := range pod.Spec.Volumes {
		if !volumeReferences(&pod.Spec.Volumes[i].VolumeSource, visit) {
			return
		}
	}
}

func containerReferences(from []corev1.EnvFromSource, env []corev1.EnvVar, visit func(resource, name string) bool) bool {
	for i := range from {
		if ref := from[i].ConfigMapRef; ref != nil && !visit("configmaps", ref.Name) {
			return false
		}
		if ref := from[i].SecretRef; ref != nil && !visit("secrets", ref.Name) {
			return false
		}
	}
	for i := range env {
		source := env[i].ValueFrom
		if source == nil {
			continue
		}
		if ref := source.ConfigMapKeyRef; ref != nil && !visit("configmaps", ref.Name) {
			return false
		}
		if ref := source.SecretKeyRef; ref != nil && !visit("secrets", ref.Name) {
			return false
		}
	}
	return true
}

func volumeReferences(v *corev1.VolumeSource, visit func(resource, name string) bool) bool {
	switch {
	case v.ConfigMap != nil:
		return visit("configmaps", v.ConfigMap.Name)
	case v.Secret != nil:
		return visit("secrets", v.Secret.SecretName)
	case v.CSI != nil && v.CSI.NodePublishSecretRef != nil:
		return visit("secrets", v.CSI.NodePublishSecretRef.Name)
	case v.Projected != nil:
		for _, p := range v.Projected.Sources {
			if p.ConfigMap != nil && !visit("configmaps", p.ConfigMap.Name) {
				return false
			}
			if p.Secret != nil && !visit("secrets", p.Secret.Name) {
				return false
			}
		}
	}
	return true
}
