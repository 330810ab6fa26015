package registry

import (
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateVolumes also returns the volumes that containers can mount, by name.
func validateVolumes(volumes []corev1.Volume, at *field.Path) (map[string]*corev1.VolumeSource, field.ErrorList) {
	var errs field.ErrorList
	known := make(map[string]*corev1.VolumeSource, len(volumes))
	for i := range volumes {
		v, at := &volumes[i], at.Index(i)
		_, twice := known[v.Name]
		switch {
		case v.Name == "":
			errs = append(errs, field.Required(at.Child("name"), ""))
		case twice:
			errs = append(errs, field.Duplicate(at.Child("name"), v.Name))
		default:
			errs = append(errs, invalidEach(at.Child("name"), v.Name, validation.IsDNS1123Label(v.Name))...)
			known[v.Name] = &v.VolumeSource
		}
		errs = append(errs, validateVolumeSource(&v.VolumeSource, at)...)
	}
	return known, errs
}

func validateVolumeSource(source *corev1.VolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	set := 0
	for _, t := range volumeTypes {
		if !t.set(source) {
			continue
		}
		set++
		if set > 1 {
			errs = append(errs, field.Forbidden(at.Child(t.name), "may not specify more than 1 volume type"))
		} else if t.validate != nil {
			errs = append(errs, t.validate(source, at.Child(t.name))...)
		}
	}
	if set == 0 {
		errs = append(errs, field.Required(at, "must specify a volume type"))
	}
	return errs
}

func validateEmptyDir(s *corev1.VolumeSource, at *field.Path) field.ErrorList {
	if limit := s.EmptyDir.SizeLimit; limit != nil && limit.Sign() < 0 {
		return field.ErrorList{field.Forbidden(at.Child("sizeLimit"), "SizeLimit field must be a valid resource quantity")}
	}
	return nil
}

func validateHostPath(s *corev1.VolumeSource, at *field.Path) field.ErrorList {
	if s.HostPath.Path == "" {
		return field.ErrorList{field.Required(at.Child("path"), "")}
	}
	errs := noBacksteps(s.HostPath.Path, at.Child("path"))
	if t := s.HostPath.Type; t != nil {
		errs = append(errs, oneOf(at.Child("type"), *t,
			corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate,
			corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket)...)
	}
	return errs
}

func validateNFS(s *corev1.VolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.NFS.Server == "" {
		errs = append(errs, field.Required(at.Child("server"), ""))
	}
	if s.NFS.Path == "" {
		errs = append(errs, field.Required(at.Child("path"), ""))
	} else if !path.IsAbs(s.NFS.Path) {
		errs = append(errs, field.Invalid(at.Child("path"), s.NFS.Path, "must be an absolute path"))
	}
	return errs
}

func validateSecretVolume(s *corev1.VolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.Secret.SecretName == "" {
		errs = append(errs, field.Required(at.Child("secretName"), ""))
	}
	errs = append(errs, validateMode(s.Secret.DefaultMode, at.Child("defaultMode"))...)
	return append(errs, validateKeysToPaths(s.Secret.Items, at.Child("items"))...)
}

func validateConfigMapVolume(s *corev1.VolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.ConfigMap.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	errs = append(errs, validateMode(s.ConfigMap.DefaultMode, at.Child("defaultMode"))...)
	return append(errs, validateKeysToPaths(s.ConfigMap.Items, at.Child("items"))...)
}

func validateDownwardVolume(s *corev1.VolumeSource, at *field.Path) field.ErrorList {
	errs := validateMode(s.DownwardAPI.DefaultMode, at.Child("defaultMode"))
	return append(errs, validateDownwardFiles(s.DownwardAPI.Items, at.Child("items"))...)
}

func validateCSI(s *corev1.VolumeSource, at *field.Path) field.ErrorList {
	const maxDriverName = 63
	driver := s.CSI.Driver
	if driver == "" {
		return field.ErrorList{field.Required(at.Child("driver"), "")}
	}
	var errs field.ErrorList
	if len(driver) > maxDriverName {
		errs = append(errs, field.TooLong(at.Child("driver"), driver, maxDriverName))
	}
	errs = append(errs, invalidEach(at.Child("driver"), driver, validation.IsDNS1123Subdomain(strings.ToLower(driver)))...)
	if ref := s.CSI.NodePublishSecretRef; ref != nil && ref.Name == "" {
		errs = append(errs, field.Required(at.Child("nodePublishSecretRef", "name"), ""))
	}
	return errs
}

func validateProjected(s *corev1.VolumeSource, at *field.Path) field.ErrorList {
	errs := validateMode(s.Projected.DefaultMode, at.Child("defaultMode"))
	paths := sets.New[string]()
	claim := func(at *field.Path, value, file string) {
		if file != "" && paths.Has(file) {
			errs = append(errs, field.Invalid(at, value, "conflicting duplicate paths"))
		}
		paths.Insert(file)
	}
	for i := range s.Projected.Sources {
		source, at := &s.Projected.Sources[i], at.Child("sources").Index(i)
		set := 0
		one := func(name string) bool {
			set++
			if set > 1 {
				errs = append(errs, field.Forbidden(at.Child(name), "may not specify more than 1 volume type"))
			}
			return set == 1
		}
		if p := source.Secret; p != nil && one("secret") {
			if p.Name == "" {
				errs = append(errs, field.Required(at.Child("secret", "name"), ""))
			}
			errs = append(errs, validateKeysToPaths(p.Items, at.Child("secret", "items"))...)
			for _, item := range p.Items {
				claim(at.Child("secret"), p.Name, item.Path)
			}
		}
		if p := source.ConfigMap; p != nil && one("configMap") {
			if p.Name == "" {
				errs = append(errs, field.Required(at.Child("configMap", "name"), ""))
			}
			errs = append(errs, validateKeysToPaths(p.Items, at.Child("configMap", "items"))...)
			for _, item := range p.Items {
				claim(at.Child("configMap"), p.Name, item.Path)
			}
		}
		if p := source.DownwardAPI; p != nil && one("downwardAPI") {
			errs = append(errs, validateDownwardFiles(p.Items, at.Child("downwardAPI", "items"))...)
			for _, item := range p.Items {
				claim(at.Child("downwardAPI"), item.Path, item.Path)
			}
		}
		if source.ServiceAccountToken != nil && one("serviceAccountToken") && source.ServiceAccountToken.Path == "" {
			errs = append(errs, field.Required(at.Child("serviceAccountToken", "path"), ""))
		}
		if source.ClusterTrustBundle != nil {
			one("clusterTrustBundle")
		}
		if source.PodCertificate != nil {
			one("podCertificate")
		}
		if set == 0 {
			errs = append(errs, field.Required(at, "must specify a volume type"))
		}
	}
	return errs
}

func validateKeysToPaths(items []corev1.KeyToPath, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range items {
		item, at := &items[i], at.Index(i)
		if item.Key == "" {
			errs = append(errs, field.Required(at.Child("key"), ""))
		}
		if item.Path == "" {
			errs = append(errs, field.Required(at.Child("path"), ""))
		}
		errs = append(errs, validateFilePath(item.Path, at.Child("path"))...)
		errs = append(errs, validateFileMode(item.Mode, at.Child("mode"))...)
	}
	return errs
}

func validateDownwardFiles(files []corev1.DownwardAPIVolumeFile, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range files {
		f, at := &files[i], at.Index(i)
		if f.Path == "" {
			errs = append(errs, field.Required(at.Child("path"), ""))
		}
		errs = append(errs, validateFilePath(f.Path, at.Child("path"))...)
		switch {
		case f.FieldRef != nil && f.ResourceFieldRef != nil:
			errs = append(errs, field.Invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
		case f.FieldRef != nil:
			errs = append(errs, validateFieldRef(f.FieldRef, fileFields, at.Child("fieldRef"))...)
		case f.ResourceFieldRef != nil:
			errs = append(errs, validateResourceFieldRef(f.ResourceFieldRef, true, at.Child("resourceFieldRef"))...)
		default:
			errs = append(errs, field.Required(at, "one of fieldRef and resourceFieldRef is required"))
		}
		errs = append(errs, validateFileMode(f.Mode, at.Child("mode"))...)
	}
	return errs
}

const badMode = "must be a number between 0 and 0777 (octal), both inclusive"

// validateMode: modes of whole volumes are always set, those of files may be
// left out.
func validateMode(mode *int32, at *field.Path) field.ErrorList {
	if mode == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	return validateFileMode(mode, at)
}

func validateFileMode(mode *int32, at *field.Path) field.ErrorList {
	if mode != nil && (*mode < 0 || *mode > 0o777) {
		return field.ErrorList{field.Invalid(at, *mode, badMode)}
	}
	return nil
}

// validateFilePath also keeps clear of the names that the atomic writer of
// volumes uses for itself, which begin with "..".
func validateFilePath(target string, at *field.Path) field.ErrorList {
	errs := validateDescendingPath(target, at)
	if strings.HasPrefix(target, "..") && !strings.HasPrefix(target, "../") {
		errs = append(errs, field.Invalid(at, target, "must not start with '..'"))
	}
	return errs
}

func validateDescendingPath(target string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if path.IsAbs(target) {
		errs = append(errs, field.Invalid(at, target, "must be a relative path"))
	}
	return append(errs, noBacksteps(target, at)...)
}

func noBacksteps(target string, at *field.Path) field.ErrorList {
	for part := range strings.SplitSeq(target, "/") {
		if part == ".." {
			return field.ErrorList{field.Invalid(at, target, "must not contain '..'")}
		}
	}
	return nil
}
