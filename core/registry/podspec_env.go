package registry

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const onlyOneField = "may not have more than one field specified at a time"

func validateEnv(env []corev1.EnvVar, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range env {
		v, path := &env[i], path.Index(i)
		if v.Name == "" {
			errs = append(errs, field.Required(path.Child("name"), ""))
		} else {
			errs = append(errs, invalidEach(path.Child("name"), v.Name, validation.IsRelaxedEnvVarName(v.Name))...)
		}
		errs = append(errs, validateValueFrom(v, path.Child("valueFrom"))...)
	}
	return errs
}

func validateValueFrom(v *corev1.EnvVar, path *field.Path) field.ErrorList {
	from := v.ValueFrom
	if from == nil {
		return nil
	}
	var errs field.ErrorList
	sources := 0
	if from.FieldRef != nil {
		sources++
		errs = append(errs, validateFieldRef(from.FieldRef, envFields, path.Child("fieldRef"))...)
	}
	if from.ResourceFieldRef != nil {
		sources++
		errs = append(errs, validateResourceFieldRef(from.ResourceFieldRef, false, path.Child("resourceFieldRef"))...)
	}
	if from.ConfigMapKeyRef != nil {
		sources++
		errs = append(errs, validateKeyRef(from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key, path.Child("configMapKeyRef"))...)
	}
	if from.SecretKeyRef != nil {
		sources++
		errs = append(errs, validateKeyRef(from.SecretKeyRef.Name, from.SecretKeyRef.Key, path.Child("secretKeyRef"))...)
	}
	if from.FileKeyRef != nil {
		sources++
	}
	switch {
	case sources == 0:
		errs = append(errs, field.Invalid(path, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"))
	case v.Value != "":
		errs = append(errs, field.Invalid(path, "", "may not be specified when `value` is not empty"))
	case sources > 1:
		errs = append(errs, field.Invalid(path, "", onlyOneField))
	}
	return errs
}

// validateKeyRef checks the name of a ConfigMap or Secret and a key in it.
func validateKeyRef(name, key string, path *field.Path) field.ErrorList {
	errs := invalidEach(path.Child("name"), name, apivalidation.NameIsDNSSubdomain(name, false))
	if key == "" {
		return append(errs, field.Required(path.Child("key"), ""))
	}
	return append(errs, invalidEach(path.Child("key"), key, validation.IsConfigMapKey(key))...)
}

// validateSourceName checks the name of a ConfigMap or Secret taken whole.
func validateSourceName(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return invalidEach(path, name, apivalidation.NameIsDNSSubdomain(name, true))
}

func validateEnvFrom(sources []corev1.EnvFromSource, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range sources {
		source, path := &sources[i], path.Index(i)
		if source.Prefix != "" {
			errs = append(errs, invalidEach(path.Child("prefix"), source.Prefix, validation.IsRelaxedEnvVarName(source.Prefix))...)
		}
		if source.ConfigMapRef != nil {
			errs = append(errs, validateSourceName(source.ConfigMapRef.Name, path.Child("configMapRef", "name"))...)
		}
		if source.SecretRef != nil {
			errs = append(errs, validateSourceName(source.SecretRef.Name, path.Child("secretRef", "name"))...)
		}
		if source.ConfigMapRef == nil && source.SecretRef == nil {
			errs = append(errs, field.Invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
		}
		if source.ConfigMapRef != nil && source.SecretRef != nil {
			errs = append(errs, field.Invalid(path, "", onlyOneField))
		}
	}
	return errs
}

// downwardFields are the fields of a pod that a reference may name, whole or
// with a key in brackets.
type downwardFields struct {
	whole, keyed sets.Set[string]
}

// Fields of environment variables and of files, which differ: a variable can
// hold no map, and a file is written before there are addresses.
var (
	envFields = downwardFields{
		whole: sets.New("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
			"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
		keyed: sets.New("metadata.annotations", "metadata.labels"),
	}
	fileFields = downwardFields{
		whole: sets.New("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"),
		keyed: envFields.keyed,
	}
)

// known are all fields that a reference can name somewhere.
func known(name string) bool {
	return envFields.whole.Has(name) || fileFields.whole.Has(name) ||
		slices.Contains([]string{"spec.restartPolicy", "spec.schedulerName", "status.phase"}, name)
}

func validateFieldRef(ref *corev1.ObjectFieldSelector, allowed downwardFields, path *field.Path) field.ErrorList {
	switch {
	case ref.APIVersion == "":
		return field.ErrorList{field.Required(path.Child("apiVersion"), "")}
	case ref.FieldPath == "":
		return field.ErrorList{field.Required(path.Child("fieldPath"), "")}
	case ref.APIVersion != "v1":
		return field.ErrorList{field.Invalid(path.Child("fieldPath"), ref.FieldPath, fmt.Sprintf("error converting fieldPath: unsupported pod version: %s", ref.APIVersion))}
	}
	if name, key, ok := cutKey(ref.FieldPath); ok {
		switch {
		case !known(name):
			return field.ErrorList{unknownField(path, ref.FieldPath)}
		case !allowed.keyed.Has(name):
			return field.ErrorList{field.Invalid(path, name, "does not support subscript")}
		case name == "metadata.annotations":
			key = strings.ToLower(key)
		}
		return invalidEach(path, key, validation.IsQualifiedName(key))
	}
	if !known(ref.FieldPath) {
		return field.ErrorList{unknownField(path, ref.FieldPath)}
	}
	if !allowed.whole.Has(ref.FieldPath) {
		return field.ErrorList{field.NotSupported(path.Child("fieldPath"), ref.FieldPath, sets.List(allowed.whole))}
	}
	return nil
}

func unknownField(path *field.Path, name string) *field.Error {
	return field.Invalid(path.Child("fieldPath"), name, "error converting fieldPath: field label not supported: "+name)
}

// cutKey splits metadata.labels['key'].
func cutKey(fieldPath string) (name, key string, ok bool) {
	rest, ok := strings.CutSuffix(fieldPath, "']")
	if !ok {
		return "", "", false
	}
	name, key, ok = strings.Cut(rest, "['")
	return name, key, ok && name != ""
}

var (
	resourceFields = sets.New("limits.cpu", "limits.memory", "limits.ephemeral-storage",
		"requests.cpu", "requests.memory", "requests.ephemeral-storage")
	binaryDivisors = sets.New("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
	cpuDivisors    = sets.New("1m", "1")
)

func validateResourceFieldRef(ref *corev1.ResourceFieldSelector, file bool, path *field.Path) field.ErrorList {
	name := ref.Resource
	hugepages := strings.HasPrefix(name, "limits.hugepages-") || strings.HasPrefix(name, "requests.hugepages-")
	switch {
	case file && ref.ContainerName == "":
		return field.ErrorList{field.Required(path.Child("containerName"), "")}
	case name == "":
		return field.ErrorList{field.Required(path.Child("resource"), "")}
	case !resourceFields.Has(name) && !hugepages:
		return field.ErrorList{field.NotSupported(path.Child("resource"), name, sets.List(resourceFields))}
	case ref.Divisor.Cmp(resource.Quantity{}) == 0:
		return nil
	}
	divisor := ref.Divisor.String()
	_, kind, _ := strings.Cut(name, ".")
	msg := ""
	switch {
	case kind == "cpu" && !cpuDivisors.Has(divisor):
		msg = "only divisor's values 1m and 1 are supported with the cpu resource"
	case kind == "memory" && !binaryDivisors.Has(divisor):
		msg = "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource"
	case kind == "ephemeral-storage" && !binaryDivisors.Has(divisor):
		msg = "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the local ephemeral storage resource"
	case hugepages && !binaryDivisors.Has(divisor):
		msg = "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the hugepages resource"
	}
	if msg == "" {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("divisor"), name, msg)}
}
