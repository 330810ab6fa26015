package podspec

import (
	"context"
	"fmt"
	"net"
	"sort"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Objects gives the config maps and secrets that pods refer to.
type Objects interface {
	ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
}

// EnvInput is what a container's environment is made from.
type EnvInput struct {
	Pod       *corev1.Pod
	Container *corev1.Container
	Objects   Objects
	// Services that the pod sees: those of its own namespace, and kubernetes of
	// the default one.
	Services []*corev1.Service
	// What the node can give in place of a limit that is not set.
	Allocatable corev1.ResourceList
}

// Environment of a container, and variables that were left out because their
// names are none.
type Environment struct {
	Vars    []*pluginv1.KeyValue
	Invalid []string
}

// Lookup returns the value of a variable.
func (e *Environment) Lookup(name string) (string, bool) {
	for i := len(e.Vars) - 1; i >= 0; i-- {
		if e.Vars[i].Key == name {
			return e.Vars[i].Value, true
		}
	}
	return "", false
}

// Env makes the environment: envFrom in its order, then env, where a later one
// wins and may refer to earlier ones, then the variables of services that
// neither set.
func Env(ctx context.Context, in EnvInput) (*Environment, error) {
	b := &envBuilder{index: map[string]int{}}
	services := ServiceEnv(in.Services)
	for i := range in.Container.EnvFrom {
		if err := b.from(ctx, in, &in.Container.EnvFrom[i]); err != nil {
			return nil, err
		}
	}
	lookup := func(name string) (string, bool) {
		if i, ok := b.index[name]; ok {
			return b.env.Vars[i].Value, true
		}
		v, ok := services[name]
		return v, ok
	}
	for i := range in.Container.Env {
		e := &in.Container.Env[i]
		value, ok := "", true
		var err error
		if e.ValueFrom != nil {
			value, ok, err = valueFrom(ctx, in, e.ValueFrom)
		} else {
			value = Expand(e.Value, lookup)
		}
		if err != nil {
			return nil, err
		}
		if ok {
			b.set(e.Name, value)
		}
	}
	names := make([]string, 0, len(services))
	for name := range services {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if _, ok := b.index[name]; !ok {
			b.set(name, services[name])
		}
	}
	return &b.env, nil
}

type envBuilder struct {
	env   Environment
	index map[string]int
}

func (b *envBuilder) set(name, value string) {
	if i, ok := b.index[name]; ok {
		b.env.Vars[i].Value = value
		return
	}
	b.index[name] = len(b.env.Vars)
	b.env.Vars = append(b.env.Vars, &pluginv1.KeyValue{Key: name, Value: value})
}

func (b *envBuilder) from(ctx context.Context, in EnvInput, src *corev1.EnvFromSource) error {
	data := map[string]string{}
	switch {
	case src.ConfigMapRef != nil:
		cm, err := in.Objects.ConfigMap(ctx, in.Pod.Namespace, src.ConfigMapRef.Name)
		if err != nil {
			return ignoreMissing(err, src.ConfigMapRef.Optional)
		}
		data = cm.Data
	case src.SecretRef != nil:
		secret, err := in.Objects.Secret(ctx, in.Pod.Namespace, src.SecretRef.Name)
		if err != nil {
			return ignoreMissing(err, src.SecretRef.Optional)
		}
		for k, v := range secret.Data {
			data[k] = string(v)
		}
	}
	keys := make([]string, 0, len(data))
	for k := range data {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		name := src.Prefix + k
		if len(validation.IsRelaxedEnvVarName(name)) > 0 {
			b.env.Invalid = append(b.env.Invalid, name)
			continue
		}
		b.set(name, data[k])
	}
	return nil
}

func valueFrom(ctx context.Context, in EnvInput, src *corev1.EnvVarSource) (value string, ok bool, err error) {
	switch {
	case src.FieldRef != nil:
		value, err = FieldRef(in.Pod, src.FieldRef.FieldPath)
		return value, err == nil, err
	case src.ResourceFieldRef != nil:
		c := in.Container
		if name := src.ResourceFieldRef.ContainerName; name != "" {
			if c = FindContainer(in.Pod, name); c == nil {
				return "", false, fmt.Errorf("container %s not found", name)
			}
		}
		value, err = ResourceFieldRef(c, src.ResourceFieldRef, in.Allocatable)
		return value, err == nil, err
	case src.ConfigMapKeyRef != nil:
		ref := src.ConfigMapKeyRef
		cm, err := in.Objects.ConfigMap(ctx, in.Pod.Namespace, ref.Name)
		if err != nil {
			return "", false, ignoreMissing(err, ref.Optional)
		}
		if v, ok := cm.Data[ref.Key]; ok {
			return v, true, nil
		}
		if isTrue(ref.Optional) {
			return "", false, nil
		}
		return "", false, fmt.Errorf("couldn't find key %v in ConfigMap %v/%v", ref.Key, in.Pod.Namespace, ref.Name)
	case src.SecretKeyRef != nil:
		ref := src.SecretKeyRef
		secret, err := in.Objects.Secret(ctx, in.Pod.Namespace, ref.Name)
		if err != nil {
			return "", false, ignoreMissing(err, ref.Optional)
		}
		if v, ok := secret.Data[ref.Key]; ok {
			return string(v), true, nil
		}
		if isTrue(ref.Optional) {
			return "", false, nil
		}
		return "", false, fmt.Errorf("couldn't find key %v in Secret %v/%v", ref.Key, in.Pod.Namespace, ref.Name)
	}
	return "", false, fmt.Errorf("the value's source is of a kind that this node does not serve")
}

func ignoreMissing(err error, optional *bool) error {
	if apierrors.IsNotFound(err) && isTrue(optional) {
		return nil
	}
	return err
}

func isTrue(b *bool) bool { return b != nil && *b }

// VisibleServices returns the services whose variables a pod gets: with
// enableServiceLinks those of its namespace, and always kubernetes of the
// default namespace.
func VisibleServices(pod *corev1.Pod, all []*corev1.Service) []*corev1.Service {
	links := pod.Spec.EnableServiceLinks == nil || *pod.Spec.EnableServiceLinks
	byName := map[string]*corev1.Service{}
	for _, s := range all {
		if s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone {
			continue
		}
		switch {
		case s.Namespace == pod.Namespace && links:
			byName[s.Name] = s
		case s.Namespace == defaultNamespace && s.Name == "kubernetes":
			if _, ok := byName[s.Name]; !ok {
				byName[s.Name] = s
			}
		}
	}
	out := make([]*corev1.Service, 0, len(byName))
	for _, s := range byName {
		out = append(out, s)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

const defaultNamespace = "default"

// ServiceEnv are the variables that tell a container of services: those of
// Kubernetes and, beside them, those of Docker's links.
func ServiceEnv(services []*corev1.Service) map[string]string {
	out := map[string]string{}
	for _, s := range services {
		if s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone || len(s.Spec.Ports) == 0 {
			continue
		}
		prefix := envName(s.Name)
		out[prefix+"_SERVICE_HOST"] = s.Spec.ClusterIP
		out[prefix+"_SERVICE_PORT"] = strconv.Itoa(int(s.Spec.Ports[0].Port))
		for i := range s.Spec.Ports {
			p := &s.Spec.Ports[i]
			if p.Name != "" {
				out[prefix+"_SERVICE_PORT_"+envName(p.Name)] = strconv.Itoa(int(p.Port))
			}
			protocol := string(p.Protocol)
			if protocol == "" {
				protocol = string(corev1.ProtocolTCP)
			}
			url := strings.ToLower(protocol) + "://" + net.JoinHostPort(s.Spec.ClusterIP, strconv.Itoa(int(p.Port)))
			if i == 0 {
				out[prefix+"_PORT"] = url
			}
			port := prefix + "_PORT_" + strconv.Itoa(int(p.Port)) + "_" + strings.ToUpper(protocol)
			out[port] = url
			out[port+"_PROTO"] = strings.ToLower(protocol)
			out[port+"_PORT"] = strconv.Itoa(int(p.Port))
			out[port+"_ADDR"] = s.Spec.ClusterIP
		}
	}
	return out
}

func envName(s string) string {
	return strings.ToUpper(strings.ReplaceAll(s, "-", "_"))
}
