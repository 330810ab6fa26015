package v1

// What OpenAPI and "kubectl explain" say of each field: the comments of
// plugin.go, with which a test of core/apiserver compares it.

func (Plugin) SwaggerDoc() map[string]string {
	return map[string]string{
		"": "Plugin is one plugin that the cluster runs. Changing its spec swaps it.",
	}
}

func (PluginList) SwaggerDoc() map[string]string {
	return map[string]string{
		"": "PluginList is a list of plugins.",
	}
}

func (PluginNodeStatus) SwaggerDoc() map[string]string {
	return map[string]string{
		"": "PluginNodeStatus is the plugin on one node.",
	}
}

func (PluginPermission) SwaggerDoc() map[string]string {
	return map[string]string{
		"": "PluginPermission allows verbs on resources of an API group.",
	}
}

func (PluginProcess) SwaggerDoc() map[string]string {
	return map[string]string{
		"":           "PluginProcess is one process of a plugin.",
		"version":    "Version of the plugin, Contract the major version that was agreed on.",
		"since":      "Since is when the process started.",
		"lastError":  "LastError is why the last process ended or could not start.",
		"executable": "Executable and SHA256 of what runs.",
	}
}

func (PluginSpec) SwaggerDoc() map[string]string {
	return map[string]string{
		"":              "PluginSpec says what to run.",
		"type":          "Type of the contract. It can't be changed.",
		"name":          "Name that the plugin says it has; metadata.name by default. A scheduler serves pods whose schedulerName is schedulerName below, a volume type or runtime is found by this name.",
		"executable":    "Executable is an absolute path, or a file name in the plugin directory of the machine that runs it; \"<type>-<name>\" by default.",
		"sha256":        "SHA256 of the executable in hexadecimal. When set, nothing else is run.",
		"config":        "Config is given to the plugin, checked against the schema it publishes.",
		"schedulerName": "SchedulerName is the spec.schedulerName of the pods that a scheduler serves: \"default-scheduler\" by default.",
		"nodeSelector":  "NodeSelector narrows the nodes on which a plugin of a node runs.",
		"permissions":   "Permissions that the operator grants; where absent, those that the plugin declares.",
	}
}

func (PluginStatus) SwaggerDoc() map[string]string {
	return map[string]string{
		"":         "PluginStatus is what the core observes. For a plugin of nodes the inline process sums up Nodes.",
		"declared": "Declared is what the plugin says that its decisions need.",
		"nodes":    "Nodes has a line per node that runs the plugin.",
		"ready":    "Ready is \"running/wanted\" processes.",
	}
}
