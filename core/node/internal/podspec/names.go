package podspec

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"hash/fnv"
	"path/filepath"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	kubelettypes "k8s.io/kubelet/pkg/types"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
)

// Labels and annotations under which pods are found again in the runtime. They
// are the kubelet's, so that tools that read them there read them here.
const (
	LabelPodName       = kubelettypes.KubernetesPodNameLabel
	LabelPodNamespace  = kubelettypes.KubernetesPodNamespaceLabel
	LabelPodUID        = kubelettypes.KubernetesPodUIDLabel
	LabelContainerName = kubelettypes.KubernetesContainerNameLabel

	AnnotationHash                     = "io.kubernetes.container.hash"
	AnnotationRestartCount             = "io.kubernetes.container.restartCount"
	AnnotationTerminationMessagePath   = "io.kubernetes.container.terminationMessagePath"
	AnnotationTerminationMessagePolicy = "io.kubernetes.container.terminationMessagePolicy"
	AnnotationGracePeriod              = "io.kubernetes.pod.terminationGracePeriod"

	// AnnotationMessageFile is the path on the node of the file behind the
	// container's termination message path.
	AnnotationMessageFile = "pintle.io/termination-message-file"
	// AnnotationImageRef is the image that a container was made from, by a
	// digest under which it can be pulled again where it has one.
	AnnotationImageRef = "pintle.io/image-ref"
	// AnnotationHostNetwork marks a sandbox that has no addresses of its own.
	AnnotationHostNetwork = "pintle.io/host-network"
)

// NewID returns an identifier that was never used before, in the form of the
// runtimes' own: 64 hexadecimal digits.
func NewID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

// Identity is the pod's identity on the wire.
func Identity(pod *corev1.Pod) *pluginv1.PodIdentity {
	return &pluginv1.PodIdentity{Namespace: pod.Namespace, Name: pod.Name, Uid: string(pod.UID)}
}

// PodLabels are the labels of a pod's sandbox.
func PodLabels(pod *corev1.Pod) map[string]string {
	return map[string]string{
		LabelPodName:      pod.Name,
		LabelPodNamespace: pod.Namespace,
		LabelPodUID:       string(pod.UID),
	}
}

// PodAnnotations are the annotations of a pod's sandbox.
func PodAnnotations(pod *corev1.Pod) map[string]string {
	a := map[string]string{}
	if g := pod.Spec.TerminationGracePeriodSeconds; g != nil {
		a[AnnotationGracePeriod] = strconv.FormatInt(*g, 10)
	}
	if pod.Spec.HostNetwork {
		a[AnnotationHostNetwork] = "true"
	}
	return a
}

// ContainerLabels are the labels of one container.
func ContainerLabels(pod *corev1.Pod, c *corev1.Container) map[string]string {
	l := PodLabels(pod)
	l[LabelContainerName] = c.Name
	return l
}

// ContainerAnnotations are the annotations of one attempt of a container.
func ContainerAnnotations(pod *corev1.Pod, c *corev1.Container, attempt uint32, image *pluginv1.Image, messageFile string) map[string]string {
	a := map[string]string{
		AnnotationHash:                     Hash(c),
		AnnotationRestartCount:             strconv.FormatUint(uint64(attempt), 10),
		AnnotationTerminationMessagePath:   c.TerminationMessagePath,
		AnnotationTerminationMessagePolicy: string(c.TerminationMessagePolicy),
		AnnotationMessageFile:              messageFile,
		AnnotationImageRef:                 imageRef(image, c.Image),
	}
	if g := pod.Spec.TerminationGracePeriodSeconds; g != nil {
		a[AnnotationGracePeriod] = strconv.FormatInt(*g, 10)
	}
	return a
}

func imageRef(image *pluginv1.Image, asked string) string {
	for _, digest := range image.GetDigests() {
		if name, _, _ := strings.Cut(digest, "@"); strings.HasPrefix(asked, name+":") || strings.HasPrefix(asked, name+"@") {
			return digest
		}
	}
	if len(image.GetDigests()) > 0 {
		return image.Digests[0]
	}
	return image.GetId()
}

// Hash identifies what of a container's definition a running container can't
// take over: name and image. All else is immutable in the API.
func Hash(c *corev1.Container) string {
	b, _ := json.Marshal(struct{ Name, Image string }{c.Name, c.Image})
	h := fnv.New64a()
	_, _ = h.Write(b)
	return strconv.FormatUint(h.Sum64(), 16)
}

// LogDirectory is where the logs of a pod lie, below the node's log directory.
func LogDirectory(logRoot, namespace, name string, uid types.UID) string {
	return filepath.Join(logRoot, namespace+"_"+name+"_"+string(uid))
}

// LogPath is the log file of one attempt of a container.
func LogPath(logRoot string, pod *corev1.Pod, container string, attempt uint32) string {
	return filepath.Join(LogDirectory(logRoot, pod.Namespace, pod.Name, pod.UID), container,
		strconv.FormatUint(uint64(attempt), 10)+".log")
}

// AllContainers returns init containers and containers in their order.
func AllContainers(pod *corev1.Pod) []*corev1.Container {
	out := make([]*corev1.Container, 0, len(pod.Spec.InitContainers)+len(pod.Spec.Containers))
	for i := range pod.Spec.InitContainers {
		out = append(out, &pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		out = append(out, &pod.Spec.Containers[i])
	}
	return out
}

// FindContainer returns the container or init container of that name, or nil.
func FindContainer(pod *corev1.Pod, name string) *corev1.Container {
	for _, c := range AllContainers(pod) {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// IsSidecar says whether an init container keeps running beside the others.
func IsSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// NodeEventUID is the UID that events about a node carry: its name, by which
// kubectl finds them.
func NodeEventUID(name string) types.UID { return types.UID(name) }
