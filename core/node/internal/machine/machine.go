package machine

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Info that does not change while the machine is up.
type Info struct {
	Hostname      string
	MachineID     string
	SystemUUID    string
	BootID        string
	KernelVersion string
	OSImage       string
	Architecture  string
	CPUs          int
	MemoryBytes   int64
	SwapBytes     int64
}

// Read gathers the machine's Info. What a machine does not have stays empty.
func Read() (Info, error) {
	i := Info{
		MachineID:    firstFile("/etc/machine-id", "/var/lib/dbus/machine-id"),
		SystemUUID:   firstFile("/sys/class/dmi/id/product_uuid", "/etc/machine-id"),
		BootID:       firstFile("/proc/sys/kernel/random/boot_id"),
		OSImage:      osImage(),
		Architecture: runtime.GOARCH,
		CPUs:         runtime.NumCPU(),
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return i, fmt.Errorf("asking the kernel for its name: %w", err)
	}
	i.KernelVersion = unix.ByteSliceToString(u.Release[:])
	i.Hostname = strings.ToLower(unix.ByteSliceToString(u.Nodename[:]))
	memory, err := meminfo()
	if err != nil {
		return i, err
	}
	i.MemoryBytes, i.SwapBytes = memory["MemTotal"], memory["SwapTotal"]
	return i, nil
}

func firstFile(paths ...string) string {
	for _, p := range paths {
		if b, err := os.ReadFile(p); err == nil && len(bytes.TrimSpace(b)) > 0 {
			return string(bytes.TrimSpace(b))
		}
	}
	return ""
}

func osImage() string {
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
				return strings.Trim(v, `"'`)
			}
		}
	}
	return runtime.GOOS
}

// meminfo returns /proc/meminfo in bytes.
func meminfo() (map[string]int64, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return nil, fmt.Errorf("reading the machine's memory: %w", err)
	}
	out := map[string]int64{}
	s := bufio.NewScanner(bytes.NewReader(b))
	for s.Scan() {
		name, rest, ok := strings.Cut(s.Text(), ":")
		fields := strings.Fields(rest)
		if !ok || len(fields) == 0 {
			continue
		}
		n, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			continue
		}
		if len(fields) > 1 && fields[1] == "kB" {
			n *= 1024
		}
		out[name] = n
	}
	return out, s.Err()
}

// Memory in bytes that is there and that could be had without swapping.
func Memory() (total, available int64, err error) {
	m, err := meminfo()
	return m["MemTotal"], m["MemAvailable"], err
}

// Disk of a path.
type Disk struct {
	TotalBytes, AvailableBytes uint64
	TotalInodes, FreeInodes    uint64
}

// UsedBytes of the disk.
func (d Disk) UsedBytes() uint64 { return d.TotalBytes - min(d.AvailableBytes, d.TotalBytes) }

// DiskOf measures the disk that holds path.
func DiskOf(path string) (Disk, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return Disk{}, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	size := uint64(s.Bsize)
	return Disk{TotalBytes: s.Blocks * size, AvailableBytes: s.Bavail * size, TotalInodes: s.Files, FreeInodes: s.Ffree}, nil
}

// Processes counts those that there are and says how many there may be.
func Processes() (count, limit int64, err error) {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 4 {
		return 0, 0, fmt.Errorf("/proc/loadavg has %d fields: at least 4 are expected", len(fields))
	}
	_, all, _ := strings.Cut(fields[3], "/")
	if count, err = strconv.ParseInt(all, 10, 64); err != nil {
		return 0, 0, err
	}
	for _, path := range []string{"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"} {
		n, err := strconv.ParseInt(firstFile(path), 10, 64)
		if err == nil && (limit == 0 || n < limit) {
			limit = n
		}
	}
	return count, limit, nil
}

// Addresses that other machines could reach this one by: those of the interface
// with the default route first, else any that is not loopback.
func Addresses() []string {
	var out []string
	// Connecting a UDP socket sends nothing; the kernel picks the address that
	// it would use.
	if c, err := net.Dial("udp4", "192.0.2.1:9"); err == nil {
		if a, ok := c.LocalAddr().(*net.UDPAddr); ok && !a.IP.IsLoopback() {
			out = append(out, a.IP.String())
		}
		_ = c.Close()
	}
	if len(out) > 0 {
		return out
	}
	addrs, _ := net.InterfaceAddrs() // none: the node has only loopback
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			return []string{n.IP.String()}
		}
	}
	return []string{"127.0.0.1"}
}
