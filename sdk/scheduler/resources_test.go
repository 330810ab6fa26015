package scheduler

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestPodRequests(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	container := func(pairs ...string) corev1.Container {
		return corev1.Container{Resources: corev1.ResourceRequirements{Requests: list(pairs...)}}
	}
	sidecar := func(pairs ...string) corev1.Container {
		c := container(pairs...)
		c.RestartPolicy = &always
		return c
	}
	type all = []corev1.Container
	for _, c := range []struct {
		name string
		spec corev1.PodSpec
		want []string
	}{
		{"nothing", corev1.PodSpec{Containers: all{container()}}, nil},
		{"a sum", corev1.PodSpec{Containers: all{container("cpu", "1", "memory", "1Gi"), container("cpu", "500m")}}, []string{"cpu", "1500m", "memory", "1Gi"}},
		{"a smaller init container", corev1.PodSpec{Containers: all{container("cpu", "2")}, InitContainers: all{container("cpu", "1")}}, []string{"cpu", "2"}},
		{"a bigger init container", corev1.PodSpec{Containers: all{container("cpu", "1", "memory", "1Gi")}, InitContainers: all{container("cpu", "2"), container("cpu", "3")}}, []string{"cpu", "3", "memory", "1Gi"}},
		{"a sidecar", corev1.PodSpec{Containers: all{container("cpu", "1")}, InitContainers: all{sidecar("cpu", "2")}}, []string{"cpu", "3"}},
		{"an init container after a sidecar", corev1.PodSpec{Containers: all{container("cpu", "1")}, InitContainers: all{sidecar("cpu", "2"), container("cpu", "3")}}, []string{"cpu", "5"}},
		{"an init container before a sidecar", corev1.PodSpec{Containers: all{container("cpu", "1")}, InitContainers: all{container("cpu", "3"), sidecar("cpu", "2")}}, []string{"cpu", "3"}},
		{"overhead", corev1.PodSpec{Containers: all{container("cpu", "1")}, InitContainers: all{container("cpu", "2")}, Overhead: list("cpu", "250m", "memory", "1")}, []string{"cpu", "2250m", "memory", "1"}},
		{"extended", corev1.PodSpec{Containers: all{container("x.io/a", "1"), container("x.io/a", "2")}, InitContainers: all{container("x.io/b", "4")}}, []string{"x.io/a", "3", "x.io/b", "4"}},
		{"the pod as a whole", corev1.PodSpec{Containers: all{container("cpu", "1", "memory", "1Gi")}, Resources: &corev1.ResourceRequirements{Requests: list("cpu", "4")}, Overhead: list("cpu", "1")}, []string{"cpu", "5", "memory", "1Gi"}},
	} {
		got, want := podRequests(&c.spec), ResourcesOf(list(c.want...))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, want)
		}
	}
}

func TestAddAndSubtractMeetAgain(t *testing.T) {
	a, b := ResourcesOf(list("cpu", "1", "x.io/a", "1")), ResourcesOf(list("memory", "1", "x.io/a", "2", "x.io/b", "1"))
	sum := a.clone()
	sum.add(&b)
	if want := ResourcesOf(list("cpu", "1", "memory", "1", "x.io/a", "3", "x.io/b", "1")); !reflect.DeepEqual(sum, want) {
		t.Errorf("%+v", sum)
	}
	sum.subtract(&b)
	if !reflect.DeepEqual(sum, a) {
		t.Errorf("%+v", sum)
	}
}
