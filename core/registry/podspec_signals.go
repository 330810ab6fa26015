package registry

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// stopSignals are those that Linux has, by the names of KEP-4960.
var stopSignals = linuxSignals()

func linuxSignals() sets.Set[corev1.Signal] {
	signals := sets.New[corev1.Signal](
		"SIGABRT", "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCLD", "SIGCONT", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGIO",
		"SIGIOT", "SIGKILL", "SIGPIPE", "SIGPOLL", "SIGPROF", "SIGPWR", "SIGQUIT", "SIGSEGV", "SIGSTKFLT", "SIGSTOP",
		"SIGSYS", "SIGTERM", "SIGTRAP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGUSR1", "SIGUSR2", "SIGVTALRM",
		"SIGWINCH", "SIGXCPU", "SIGXFSZ", "SIGRTMIN", "SIGRTMAX")
	const belowMiddle, aboveMiddle = 15, 14
	for i := 1; i <= belowMiddle; i++ {
		signals.Insert(corev1.Signal(fmt.Sprintf("SIGRTMIN+%d", i)))
	}
	for i := 1; i <= aboveMiddle; i++ {
		signals.Insert(corev1.Signal(fmt.Sprintf("SIGRTMAX-%d", i)))
	}
	return signals
}

// stopSignal checks it: signals mean something on one system only, so the pod
// has to say which it is for.
func (check containerChecker) stopSignal(signal *corev1.Signal, path *field.Path) field.ErrorList {
	switch {
	case signal == nil:
		return nil
	case check.spec.OS == nil || check.spec.OS.Name == "":
		return field.ErrorList{field.Forbidden(path, "may not be set for containers with empty `spec.os.name`")}
	case !stopSignals.Has(*signal):
		return field.ErrorList{field.NotSupported(path, *signal, sets.List(stopSignals))}
	}
	return nil
}
