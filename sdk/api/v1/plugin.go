package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Plugin is one plugin that the cluster runs. Changing its spec swaps it.
type Plugin struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   PluginSpec   `json:"spec"`
	Status PluginStatus `json:"status,omitempty"`
}

// PluginType selects the contract that a plugin serves.
type PluginType string

const (
	SchedulerPlugin  PluginType = "scheduler"
	ControllerPlugin PluginType = "controller"
	RuntimePlugin    PluginType = "runtime"
	VolumePlugin     PluginType = "volume"
	NetworkPlugin    PluginType = "network"
	ProxyPlugin      PluginType = "proxy"
)

// PluginMode says what is done with a plugin.
type PluginMode string

const (
	// PluginActive runs it and lets it decide or act. The default.
	PluginActive PluginMode = "active"
	// PluginShadow runs a scheduler or controller and keeps its decisions
	// without applying them.
	PluginShadow PluginMode = "shadow"
	// PluginDisabled keeps it from running.
	PluginDisabled PluginMode = "disabled"
)

// PluginSpec says what to run.
type PluginSpec struct {
	// Type of the contract. It can't be changed.
	Type PluginType `json:"type"`
	// Name that the plugin says it has; metadata.name by default. A scheduler
	// serves pods whose schedulerName is schedulerName below, a volume type or
	// runtime is found by this name.
	Name string `json:"name,omitempty"`
	// Executable is an absolute path, or a file name in the plugin directory of
	// the machine that runs it; "<type>-<name>" by default.
	Executable string `json:"executable,omitempty"`
	// SHA256 of the executable in hexadecimal. When set, nothing else is run.
	SHA256 string `json:"sha256,omitempty"`
	// Config is given to the plugin, checked against the schema it publishes.
	Config *runtime.RawExtension `json:"config,omitempty"`
	Mode   PluginMode            `json:"mode,omitempty"`
	// SchedulerName is the spec.schedulerName of the pods that a scheduler
	// serves: "default-scheduler" by default.
	SchedulerName string `json:"schedulerName,omitempty"`
	// NodeSelector narrows the nodes on which a plugin of a node runs.
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// Permissions that the operator grants; where absent, those that the plugin
	// declares.
	Permissions []PluginPermission `json:"permissions,omitempty"`
}

// PluginPermission allows verbs on resources of an API group.
type PluginPermission struct {
	APIGroup  string   `json:"apiGroup"`
	Resources []string `json:"resources"`
	Verbs     []string `json:"verbs"`
}

// PluginPhase sums up how a plugin is.
type PluginPhase string

const (
	PluginPending   PluginPhase = "Pending"
	PluginStarting  PluginPhase = "Starting"
	PluginRunning   PluginPhase = "Running"
	PluginCrashLoop PluginPhase = "CrashLoop"
	PluginFailed    PluginPhase = "Failed"
	PluginStopped   PluginPhase = "Disabled"
)

// PluginStatus is what the core observes. For a plugin of nodes the inline
// process sums up Nodes.
type PluginStatus struct {
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	PluginProcess      `json:",inline"`
	Capabilities       []string `json:"capabilities,omitempty"`
	// Declared is what the plugin says that its decisions need.
	Declared []PluginPermission `json:"declared,omitempty"`
	// Nodes has a line per node that runs the plugin.
	Nodes []PluginNodeStatus `json:"nodes,omitempty"`
	// Ready is "running/wanted" processes.
	Ready string `json:"ready,omitempty"`
}

// PluginProcess is one process of a plugin.
type PluginProcess struct {
	Phase PluginPhase `json:"phase,omitempty"`
	// Version of the plugin, Contract the major version that was agreed on.
	Version  string `json:"version,omitempty"`
	Contract string `json:"contract,omitempty"`
	PID      int    `json:"pid,omitempty"`
	Restarts int32  `json:"restarts,omitempty"`
	// Since is when the process started.
	Since *metav1.Time `json:"since,omitempty"`
	// LastError is why the last process ended or could not start.
	LastError string `json:"lastError,omitempty"`
	// Executable and SHA256 of what runs.
	Executable string `json:"executable,omitempty"`
	SHA256     string `json:"sha256,omitempty"`
}

// PluginNodeStatus is the plugin on one node.
type PluginNodeStatus struct {
	Node          string `json:"node"`
	PluginProcess `json:",inline"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// PluginList is a list of plugins.
type PluginList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Plugin `json:"items"`
}
