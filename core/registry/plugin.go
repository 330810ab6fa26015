package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	pintlev1 "github.com/pintle-io/pintle/sdk/api/v1"
)

func pluginKind() *Kind {
	return typed(Kind{
		GVK:      pintlev1.GroupVersion.WithKind("Plugin"),
		Resource: "plugins", Singular: "plugin",
		New:          func() runtime.Object { return &pintlev1.Plugin{} },
		NewList:      func() runtime.Object { return &pintlev1.PluginList{} },
		ValidateName: apivalidation.NameIsDNSSubdomain,
		FieldNames:   []string{"spec.type"},
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Type", "The contract that the plugin serves."),
			column("Mode", "What is done with the plugin: active, shadow or disabled."),
			column("Phase", "How the plugin is."),
			column("Ready", "Processes that run, of those that should."),
			column("Version", "The plugin's own version."),
			intColumn("Restarts", "How often the plugin was started again."),
			ageColumn(),
			wide(column("Executable", "The file that runs.")),
			wide(column("PID", "Process id on the server; none for a plugin of nodes.")),
			wide(column("Last-Error", "Why the last process ended or could not start.")),
		},
		Status: true,
	}, funcs[*pintlev1.Plugin]{
		Default: defaultPlugin,
		PrepareForCreate: func(p *pintlev1.Plugin) {
			p.Status = pintlev1.PluginStatus{PluginProcess: pintlev1.PluginProcess{Phase: pintlev1.PluginPending}}
			p.Generation = 1
		},
		PrepareForUpdate: func(p, old *pintlev1.Plugin) {
			p.Status = old.Status
			p.Generation = raised(old.Generation, equality.Semantic.DeepEqual(p.Spec, old.Spec))
		},
		PrepareForStatusUpdate: func(p, old *pintlev1.Plugin) { p.Spec = old.Spec },
		Validate:               validatePlugin,
		ValidateUpdate: func(p, old *pintlev1.Plugin) field.ErrorList {
			return apivalidation.ValidateImmutableField(p.Spec.Type, old.Spec.Type, field.NewPath("spec", "type"))
		},
		Fields: func(p *pintlev1.Plugin) fields.Set { return fields.Set{"spec.type": string(p.Spec.Type)} },
		Row:    pluginRow,
	})
}

const defaultSchedulerName = "default-scheduler"

func defaultPlugin(p *pintlev1.Plugin) {
	spec := &p.Spec
	if spec.Name == "" {
		spec.Name = p.Name
	}
	if spec.Executable == "" && spec.Type != "" && spec.Name != "" {
		spec.Executable = string(spec.Type) + "-" + spec.Name
	}
	if spec.Mode == "" {
		spec.Mode = pintlev1.PluginActive
	}
	if spec.Type == pintlev1.SchedulerPlugin && spec.SchedulerName == "" {
		spec.SchedulerName = defaultSchedulerName
	}
	spec.SHA256 = strings.ToLower(spec.SHA256)
}

func validatePlugin(p *pintlev1.Plugin) field.ErrorList {
	spec := field.NewPath("spec")
	errs := requiredOneOf(spec.Child("type"), p.Spec.Type,
		pintlev1.ControllerPlugin, pintlev1.NetworkPlugin, pintlev1.ProxyPlugin,
		pintlev1.RuntimePlugin, pintlev1.SchedulerPlugin, pintlev1.VolumePlugin)
	if p.Spec.Name == "" {
		errs = append(errs, field.Required(spec.Child("name"), ""))
	} else {
		errs = append(errs, invalidEach(spec.Child("name"), p.Spec.Name, validation.IsDNS1123Subdomain(p.Spec.Name))...)
	}
	errs = append(errs, validateExecutable(p.Spec.Executable, spec.Child("executable"))...)
	if sum, err := hex.DecodeString(p.Spec.SHA256); p.Spec.SHA256 != "" && (err != nil || len(sum) != sha256.Size) {
		errs = append(errs, field.Invalid(spec.Child("sha256"), p.Spec.SHA256, "must be the SHA-256 of the executable: 64 hexadecimal digits"))
	}
	errs = append(errs, validatePluginConfig(p.Spec.Config, spec.Child("config"))...)
	errs = append(errs, oneOf(spec.Child("mode"), p.Spec.Mode, pintlev1.PluginActive, pintlev1.PluginDisabled, pintlev1.PluginShadow)...)
	errs = append(errs, validatePluginScope(p, spec)...)
	for i, permission := range p.Spec.Permissions {
		errs = append(errs, validatePermission(permission, spec.Child("permissions").Index(i))...)
	}
	return errs
}

// validatePluginScope checks fields that only some types of plugin have.
func validatePluginScope(p *pintlev1.Plugin, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	decides := p.Spec.Type == pintlev1.SchedulerPlugin || p.Spec.Type == pintlev1.ControllerPlugin
	if p.Spec.Mode == pintlev1.PluginShadow && !decides {
		errs = append(errs, field.Invalid(spec.Child("mode"), p.Spec.Mode, "only plugins of type scheduler and controller can run as a shadow"))
	}
	if name := p.Spec.SchedulerName; name != "" {
		if p.Spec.Type != pintlev1.SchedulerPlugin {
			errs = append(errs, field.Forbidden(spec.Child("schedulerName"), "may only be set for plugins of type scheduler"))
		}
		errs = append(errs, invalidEach(spec.Child("schedulerName"), name, validation.IsDNS1123Subdomain(name))...)
	}
	if len(p.Spec.NodeSelector) > 0 && decides {
		errs = append(errs, field.Forbidden(spec.Child("nodeSelector"), "may not be set for plugins that run on the server"))
	}
	if len(p.Spec.Permissions) > 0 && !decides {
		errs = append(errs, field.Forbidden(spec.Child("permissions"), "may only be set for plugins of type scheduler and controller"))
	}
	return append(errs, metavalidation.ValidateLabels(p.Spec.NodeSelector, spec.Child("nodeSelector"))...)
}

// validateExecutable takes an absolute path, or a bare name in the plugin
// directory; nothing that could lead out of it.
func validateExecutable(executable string, path *field.Path) field.ErrorList {
	switch {
	case executable == "":
		return field.ErrorList{field.Required(path, "")}
	case strings.ContainsRune(executable, 0):
		return field.ErrorList{field.Invalid(path, executable, "must not contain a zero byte")}
	case strings.HasPrefix(executable, "/"):
		return nil
	case strings.Contains(executable, "/") || executable == "." || executable == "..":
		return field.ErrorList{field.Invalid(path, executable, "must be an absolute path or the name of a file in the plugin directory")}
	}
	return nil
}

func validatePluginConfig(config *runtime.RawExtension, path *field.Path) field.ErrorList {
	if config == nil || len(config.Raw) == 0 {
		return nil
	}
	if raw := strings.TrimSpace(string(config.Raw)); !strings.HasPrefix(raw, "{") && raw != "null" {
		return field.ErrorList{field.TypeInvalid(path, raw, "must be an object")}
	}
	return nil
}

func validatePermission(permission pintlev1.PluginPermission, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(permission.Resources) == 0 {
		errs = append(errs, field.Required(path.Child("resources"), "must name at least one resource"))
	}
	if len(permission.Verbs) == 0 {
		errs = append(errs, field.Required(path.Child("verbs"), "must name at least one verb"))
	}
	verbs := sets.New("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "*")
	for i, verb := range permission.Verbs {
		if !verbs.Has(verb) {
			errs = append(errs, field.NotSupported(path.Child("verbs").Index(i), verb, sets.List(verbs)))
		}
	}
	return errs
}

func pluginRow(p *pintlev1.Plugin, now metav1.Time) []any {
	pid := "<none>"
	if p.Status.PID != 0 {
		pid = fmt.Sprint(p.Status.PID)
	}
	executable := p.Status.Executable
	if executable == "" {
		executable = p.Spec.Executable
	}
	ready := p.Status.Ready
	if ready == "" {
		ready = "0/1"
		if p.Status.Phase == pintlev1.PluginRunning {
			ready = "1/1"
		}
	}
	return []any{
		p.Name, string(p.Spec.Type), string(p.Spec.Mode), string(p.Status.Phase), ready, orNone(p.Status.Version),
		int64(p.Status.Restarts), since(p.CreationTimestamp.Time, now),
		executable, pid, p.Status.LastError,
	}
}
