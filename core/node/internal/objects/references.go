package objects

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/core/node/internal/podspec"
)

// References are the config maps and secrets that a pod names.
func References(pod *corev1.Pod) map[Ref]struct{} {
	out := map[Ref]struct{}{}
	add := func(kind Kind, name string) {
		if name != "" {
			out[Ref{kind, pod.Namespace, name}] = struct{}{}
		}
	}
	for _, c := range podspec.AllContainers(pod) {
		for i := range c.EnvFrom {
			if r := c.EnvFrom[i].ConfigMapRef; r != nil {
				add(ConfigMap, r.Name)
			}
			if r := c.EnvFrom[i].SecretRef; r != nil {
				add(Secret, r.Name)
			}
		}
		for i := range c.Env {
			from := c.Env[i].ValueFrom
			if from == nil {
				continue
			}
			if r := from.ConfigMapKeyRef; r != nil {
				add(ConfigMap, r.Name)
			}
			if r := from.SecretKeyRef; r != nil {
				add(Secret, r.Name)
			}
		}
	}
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		switch {
		case v.ConfigMap != nil:
			add(ConfigMap, v.ConfigMap.Name)
		case v.Secret != nil:
			add(Secret, v.Secret.SecretName)
		case v.CSI != nil && v.CSI.NodePublishSecretRef != nil:
			add(Secret, v.CSI.NodePublishSecretRef.Name)
		case v.Projected != nil:
			for j := range v.Projected.Sources {
				if s := v.Projected.Sources[j].ConfigMap; s != nil {
					add(ConfigMap, s.Name)
				}
				if s := v.Projected.Sources[j].Secret; s != nil {
					add(Secret, s.Name)
				}
			}
		}
	}
	for _, s := range pod.Spec.ImagePullSecrets {
		add(Secret, s.Name)
	}
	return out
}
