package registry

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (check containerChecker) lifecycleAndProbes(c *corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.Lifecycle != nil {
		for _, hook := range []struct {
			name    string
			handler *corev1.LifecycleHandler
		}{{"postStart", c.Lifecycle.PostStart}, {"preStop", c.Lifecycle.PreStop}} {
			if hook.handler != nil {
				errs = append(errs, check.handler(handler{
					exec: hook.handler.Exec, http: hook.handler.HTTPGet, tcp: hook.handler.TCPSocket, sleep: hook.handler.Sleep,
				}, path.Child("lifecycle", hook.name))...)
			}
		}
	}
	if c.Lifecycle != nil {
		errs = append(errs, check.stopSignal(c.Lifecycle.StopSignal, path.Child("lifecycle", "stopSignal"))...)
	}
	errs = append(errs, check.probe(c.LivenessProbe, path.Child("livenessProbe"), mustSucceedOnce)...)
	errs = append(errs, check.probe(c.ReadinessProbe, path.Child("readinessProbe"), mustNotTerminate)...)
	return append(errs, check.probe(c.StartupProbe, path.Child("startupProbe"), mustSucceedOnce)...)
}

// handler is what probes and hooks have in common; grpc is a probe's only and
// sleep a hook's.
type handler struct {
	exec  *corev1.ExecAction
	http  *corev1.HTTPGetAction
	tcp   *corev1.TCPSocketAction
	grpc  *corev1.GRPCAction
	sleep *corev1.SleepAction
}

func (check containerChecker) probe(p *corev1.Probe, path *field.Path, of func(*corev1.Probe, *field.Path) *field.Error) field.ErrorList {
	if p == nil {
		return nil
	}
	errs := check.handler(handler{exec: p.Exec, http: p.HTTPGet, tcp: p.TCPSocket, grpc: p.GRPC}, path)
	for _, f := range []struct {
		name  string
		value int32
	}{
		{"initialDelaySeconds", p.InitialDelaySeconds},
		{"timeoutSeconds", p.TimeoutSeconds},
		{"periodSeconds", p.PeriodSeconds},
		{"successThreshold", p.SuccessThreshold},
		{"failureThreshold", p.FailureThreshold},
	} {
		errs = append(errs, apivalidation.ValidateNonnegativeField(int64(f.value), path.Child(f.name))...)
	}
	if g := p.TerminationGracePeriodSeconds; g != nil && *g <= 0 {
		errs = append(errs, field.Invalid(path.Child("terminationGracePeriodSeconds"), *g, "must be greater than 0"))
	}
	if err := of(p, path); err != nil {
		errs = append(errs, err)
	}
	return errs
}

func mustSucceedOnce(p *corev1.Probe, path *field.Path) *field.Error {
	if p.SuccessThreshold == 1 {
		return nil
	}
	return field.Invalid(path.Child("successThreshold"), p.SuccessThreshold, "must be 1")
}

func mustNotTerminate(p *corev1.Probe, path *field.Path) *field.Error {
	if p.TerminationGracePeriodSeconds == nil {
		return nil
	}
	return field.Invalid(path.Child("terminationGracePeriodSeconds"), *p.TerminationGracePeriodSeconds, "must not be set for readinessProbes")
}

func (check containerChecker) handler(h handler, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	handlers := 0
	// one counts a handler and tells whether it is the first.
	one := func(name string) bool {
		handlers++
		if handlers > 1 {
			errs = append(errs, field.Forbidden(path.Child(name), "may not specify more than 1 handler type"))
			return false
		}
		return true
	}
	if h.exec != nil && one("exec") && len(h.exec.Command) == 0 {
		errs = append(errs, field.Required(path.Child("exec", "command"), ""))
	}
	if h.http != nil && one("httpGet") {
		errs = append(errs, validateHTTPGet(h.http, path.Child("httpGet"))...)
	}
	if h.tcp != nil && one("tcpSocket") {
		errs = append(errs, validatePortOrName(h.tcp.Port, path.Child("tcpSocket", "port"))...)
	}
	if h.grpc != nil && one("grpc") {
		errs = append(errs, invalidEach(path.Child("grpc", "port"), h.grpc.Port, validation.IsValidPortNum(int(h.grpc.Port)))...)
	}
	if h.sleep != nil && one("sleep") {
		grace := int64(0)
		if g := check.spec.TerminationGracePeriodSeconds; g != nil {
			grace = *g
		}
		if s := h.sleep.Seconds; s < 0 || s > grace {
			errs = append(errs, field.Invalid(path.Child("sleep"), s, fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", grace)))
		}
	}
	if handlers == 0 {
		errs = append(errs, field.Required(path, "must specify a handler type"))
	}
	return errs
}

func validateHTTPGet(get *corev1.HTTPGetAction, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if get.Path == "" {
		errs = append(errs, field.Required(path.Child("path"), ""))
	}
	errs = append(errs, validatePortOrName(get.Port, path.Child("port"))...)
	errs = append(errs, oneOf(path.Child("scheme"), get.Scheme, corev1.URISchemeHTTP, corev1.URISchemeHTTPS)...)
	for i, header := range get.HTTPHeaders {
		errs = append(errs, invalidEach(path.Child("httpHeaders").Index(i).Child("name"), header.Name, validation.IsHTTPHeaderName(header.Name))...)
	}
	return errs
}
