package podspec

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

func TestExpand(t *testing.T) {
	vars := map[string]string{"A": "1", "B": "$(A)", "EMPTY": ""}
	lookup := func(n string) (string, bool) { v, ok := vars[n]; return v, ok }
	for in, want := range map[string]string{
		"": "", "plain": "plain", "$(A)": "1", "x$(A)y$(A)": "x1y1", "$$(A)": "$(A)", "$$$(A)": "$1", "$(NONE)": "$(NONE)",
		"$(A": "$(A", "$A": "$A", "$": "$", "a$": "a$", "$$": "$", "$(B)": "$(A)", "$(EMPTY)": "", "$()": "$()", "$((A))": "$((A))", "{$(A)}": "{1}",
	} {
		if got := Expand(in, lookup); got != want {
			t.Errorf("Expand(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"$(A)", "$$(A)", "$(", "$$$", "$(A)$(B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Expand(s, func(string) (string, bool) { return "", false })
		if !strings.Contains(s, "$") && got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}

func list(cpu, memory string) corev1.ResourceList {
	l := corev1.ResourceList{}
	if cpu != "" {
		l[corev1.ResourceCPU] = resource.MustParse(cpu)
	}
	if memory != "" {
		l[corev1.ResourceMemory] = resource.MustParse(memory)
	}
	return l
}

func podOf(resources ...corev1.ResourceRequirements) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "u", Labels: map[string]string{"l": "v"}, Annotations: map[string]string{"b": "2", "a": "1\n"}}}
	for i, r := range resources {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: string(rune('a' + i)), Image: "i", Resources: r})
	}
	return p
}

func TestQOSAndResources(t *testing.T) {
	for name, c := range map[string]struct {
		resources []corev1.ResourceRequirements
		class     corev1.PodQOSClass
		parent    string
		oom       int64
		shares    uint64
		quota     int64
	}{
		"none":          {[]corev1.ResourceRequirements{{}}, corev1.PodQOSBestEffort, "/pintle/besteffort/podu", 1000, 2, 0},
		"guaranteed":    {[]corev1.ResourceRequirements{{Requests: list("1", "1Gi"), Limits: list("1", "1Gi")}}, corev1.PodQOSGuaranteed, "/pintle/podu", -997, 1024, 100000},
		"limits of one": {[]corev1.ResourceRequirements{{Requests: list("1", "1Gi"), Limits: list("1", "1Gi")}, {}}, corev1.PodQOSBurstable, "/pintle/burstable/podu", 900, 1024, 100000},
		"request only":  {[]corev1.ResourceRequirements{{Requests: list("250m", "5Gi")}}, corev1.PodQOSBurstable, "/pintle/burstable/podu", 500, 256, 0},
		"cpu only":      {[]corev1.ResourceRequirements{{Requests: list("1m", ""), Limits: list("1m", "")}}, corev1.PodQOSBurstable, "/pintle/burstable/podu", 999, 2, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			p := podOf(c.resources...)
			if got := QOSClass(p); got != c.class {
				t.Errorf("class %s, want %s", got, c.class)
			}
			if got := CgroupParent("/pintle", p); got != c.parent {
				t.Errorf("parent %s, want %s", got, c.parent)
			}
			r := ContainerResources(p, &p.Spec.Containers[0], 10<<30)
			if r.OomScoreAdj != c.oom || r.CpuShares != c.shares || r.CpuQuota != c.quota {
				t.Errorf("resources %v", r)
			}
		})
	}
}

func TestFieldRef(t *testing.T) {
	p := podOf(corev1.ResourceRequirements{})
	p.Status.PodIP, p.Status.PodIPs = "10.0.0.1", []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "fd00::1"}}
	for path, want := range map[string]string{
		"metadata.name": "p", "metadata.uid": "u", "metadata.labels['l']": "v", "metadata.annotations['none']": "",
		"metadata.annotations": "a=\"1\\n\"\nb=\"2\"", "status.podIP": "10.0.0.1", "status.podIPs": "10.0.0.1,fd00::1",
	} {
		if got, err := FieldRef(p, path); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", path, got, err, want)
		}
	}
	if _, err := FieldRef(p, "spec.nothing"); err == nil {
		t.Error("an unknown field has a value")
	}
}

func TestResourceFieldRef(t *testing.T) {
	c := &corev1.Container{Resources: corev1.ResourceRequirements{Requests: list("250m", "100Mi")}}
	node := list("4", "8Gi")
	for _, x := range []struct{ resource, divisor, want string }{
		{"requests.cpu", "", "1"}, {"requests.cpu", "1m", "250"}, {"requests.memory", "1Mi", "100"}, {"requests.memory", "1Gi", "1"},
		{"limits.cpu", "", "4"}, {"limits.memory", "1Gi", "8"},
	} {
		ref := &corev1.ResourceFieldSelector{Resource: x.resource}
		if x.divisor != "" {
			ref.Divisor = resource.MustParse(x.divisor)
		}
		if got, err := ResourceFieldRef(c, ref, node); err != nil || got != x.want {
			t.Errorf("%s in %s = %q, %v; want %s", x.resource, x.divisor, got, err, x.want)
		}
	}
}

type objects struct{}

func (objects) ConfigMap(_ context.Context, _, name string) (*corev1.ConfigMap, error) {
	if name != "cm" {
		return nil, apierrors.NewNotFound(corev1.Resource("configmaps"), name)
	}
	return &corev1.ConfigMap{Data: map[string]string{"K": "from-cm", "bad=key": "x"}}, nil
}

func (objects) Secret(_ context.Context, _, name string) (*corev1.Secret, error) {
	if name != "s" {
		return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
	}
	return &corev1.Secret{Data: map[string][]byte{"P": []byte("hidden")}}, nil
}

func TestEnv(t *testing.T) {
	yes := true
	ref := func(n string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: n} }
	p := podOf(corev1.ResourceRequirements{})
	c := &p.Spec.Containers[0]
	c.EnvFrom = []corev1.EnvFromSource{
		{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: ref("cm")}},
		{Prefix: "S_", SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref("s")}},
		{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: ref("none"), Optional: &yes}},
	}
	c.Env = []corev1.EnvVar{
		{Name: "A", Value: "1"}, {Name: "B", Value: "$(A)$(K)$(LATER)"}, {Name: "LATER", Value: "x"}, {Name: "K", Value: "over"},
		{Name: "NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
		{Name: "OPT", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ref("s"), Key: "none", Optional: &yes}}},
		{Name: "URL", Value: "$(WEB_SERVICE_HOST):$(WEB_SERVICE_PORT)"},
	}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "ns"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.5", Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}}}}
	env, err := Env(context.Background(), EnvInput{Pod: p, Container: c, Objects: objects{}, Services: []*corev1.Service{svc}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"A": "1", "B": "1from-cm$(LATER)", "K": "over", "S_P": "hidden", "NAME": "p", "URL": "10.96.0.5:80",
		"WEB_PORT": "tcp://10.96.0.5:80", "WEB_SERVICE_PORT_HTTP": "80", "WEB_PORT_80_TCP_PROTO": "tcp",
	} {
		if got, ok := env.Lookup(name); !ok || got != want {
			t.Errorf("%s = %q, %v; want %q", name, got, ok, want)
		}
	}
	if _, ok := env.Lookup("OPT"); ok {
		t.Error("an optional key that does not exist has a value")
	}
	if len(env.Invalid) != 1 || env.Invalid[0] != "bad=key" {
		t.Errorf("invalid names %q", env.Invalid)
	}
	c.Env = []corev1.EnvVar{{Name: "X", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ref("cm"), Key: "none"}}}}
	if _, err := Env(context.Background(), EnvInput{Pod: p, Container: c, Objects: objects{}}); err == nil || err.Error() != "couldn't find key none in ConfigMap ns/cm" {
		t.Errorf("error %v", err)
	}
}

func TestVisibleServices(t *testing.T) {
	no := false
	svc := func(ns, name, ip string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: corev1.ServiceSpec{ClusterIP: ip}}
	}
	all := []*corev1.Service{svc("default", "kubernetes", "10.96.0.1"), svc("ns", "web", "10.96.0.2"), svc("ns", "headless", "None"), svc("other", "x", "10.96.0.3")}
	names := func(p *corev1.Pod) (out string) {
		for _, s := range VisibleServices(p, all) {
			out += s.Name + " "
		}
		return out
	}
	p := podOf()
	if got := names(p); got != "kubernetes web " {
		t.Errorf("%q", got)
	}
	p.Spec.EnableServiceLinks = &no
	if got := names(p); got != "kubernetes " {
		t.Errorf("%q", got)
	}
}

func TestHostnameAndHosts(t *testing.T) {
	yes := true
	p := podOf()
	p.Name = strings.Repeat("x", 62) + ".y"
	if name, _, _ := Hostname(p, "node", "cluster.local"); name != strings.Repeat("x", 62) {
		t.Errorf("name %q", name)
	}
	p.Name, p.Spec.Subdomain, p.Spec.SetHostnameAsFQDN = "p", "sub", &yes
	name, kernel, domain := Hostname(p, "node", "cluster.local")
	if name != "p" || kernel != "p.sub.ns.svc.cluster.local" || domain != "sub.ns.svc.cluster.local" {
		t.Errorf("%q %q %q", name, kernel, domain)
	}
	p.Spec.HostAliases = []corev1.HostAlias{{IP: "1.2.3.4", Hostnames: []string{"a", "b"}}}
	got := string(HostsFile(p, []string{"10.0.0.1"}, name, domain, nil))
	for _, want := range []string{"127.0.0.1\tlocalhost\n", "10.0.0.1\tp.sub.ns.svc.cluster.local\tp\n", "1.2.3.4\ta\tb\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
}

func TestDNS(t *testing.T) {
	node := ParseResolvConf([]byte("# x\nnameserver 192.0.2.1\nsearch corp.example\noptions ndots:1 timeout:2\n"))
	cluster := ClusterDNS{Servers: []string{"10.96.0.10"}, Domain: "cluster.local"}
	five := "5"
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		dns    ClusterDNS
		want   string
		fell   bool
	}{
		"cluster first":  {func(*corev1.Pod) {}, cluster, "search ns.svc.cluster.local svc.cluster.local cluster.local corp.example\nnameserver 10.96.0.10\noptions ndots:5\n", false},
		"no cluster dns": {func(*corev1.Pod) {}, ClusterDNS{}, "search corp.example\nnameserver 192.0.2.1\noptions ndots:1 timeout:2\n", true},
		"host network":   {func(p *corev1.Pod) { p.Spec.HostNetwork = true }, cluster, "search corp.example\nnameserver 192.0.2.1\noptions ndots:1 timeout:2\n", false},
		"default with config": {func(p *corev1.Pod) {
			p.Spec.DNSPolicy = corev1.DNSDefault
			p.Spec.DNSConfig = &corev1.PodDNSConfig{Nameservers: []string{"192.0.2.9"}, Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: &five}, {Name: "rotate"}}}
		}, cluster, "search corp.example\nnameserver 192.0.2.1\nnameserver 192.0.2.9\noptions timeout:2 ndots:5 rotate\n", false},
		"none": {func(p *corev1.Pod) {
			p.Spec.DNSPolicy = corev1.DNSNone
			p.Spec.DNSConfig = &corev1.PodDNSConfig{Nameservers: []string{"192.0.2.9"}}
		}, cluster, "nameserver 192.0.2.9\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := podOf()
			c.change(p)
			got, fell := DNS(p, c.dns, node)
			if got.String() != c.want || fell != c.fell {
				t.Errorf("%q %v, want %q", got.String(), fell, c.want)
			}
		})
	}
}

func TestVerifyNonRoot(t *testing.T) {
	yes, zero, user := true, int64(0), int64(1000)
	for name, c := range map[string]struct {
		sc    *corev1.SecurityContext
		image *pluginv1.Image
		want  string
	}{
		"not asked":     {nil, &pluginv1.Image{Uid: &zero}, ""},
		"user given":    {&corev1.SecurityContext{RunAsNonRoot: &yes, RunAsUser: &user}, &pluginv1.Image{Uid: &zero}, ""},
		"root given":    {&corev1.SecurityContext{RunAsNonRoot: &yes, RunAsUser: &zero}, &pluginv1.Image{}, "breaks non-root policy"},
		"root in image": {&corev1.SecurityContext{RunAsNonRoot: &yes}, &pluginv1.Image{}, "image will run as root"},
		"name in image": {&corev1.SecurityContext{RunAsNonRoot: &yes}, &pluginv1.Image{Username: "www"}, "non-numeric user (www)"},
		"user in image": {&corev1.SecurityContext{RunAsNonRoot: &yes}, &pluginv1.Image{Uid: &user}, ""},
	} {
		p := podOf(corev1.ResourceRequirements{})
		p.Spec.Containers[0].SecurityContext = c.sc
		err := VerifyNonRoot(p, &p.Spec.Containers[0], c.image)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestImageRef(t *testing.T) {
	image := &pluginv1.Image{Id: "sha256:aa", Digests: []string{"example.org/a@sha256:bb", "example.org/b@sha256:cc"}}
	for asked, want := range map[string]string{
		"example.org/b:1":         "example.org/b@sha256:cc",
		"example.org/b@sha256:cc": "example.org/b@sha256:cc",
		"a":                       "example.org/a@sha256:bb",
	} {
		c := &corev1.Container{Name: "c", Image: asked}
		if got := ContainerAnnotations(&corev1.Pod{}, c, 0, image, "")[AnnotationImageRef]; got != want {
			t.Errorf("%s: %s, want %s", asked, got, want)
		}
	}
	if got := imageRef(&pluginv1.Image{Id: "sha256:aa"}, "a"); got != "sha256:aa" {
		t.Errorf("an image without a digest: %s", got)
	}
}
