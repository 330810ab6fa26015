package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	taskapi "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/runtime"

	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/namespaces"
	"github.com/pintle-io/pintle/plugins/runtime/containerd/internal/output"
)

// unknownExit is the exit code of a container that ended while nobody looked
// and whose task is gone, as Kubernetes has it.
const unknownExit = 255

// sync compares what is known with what there is. The first time, nothing is
// known.
func (e *Engine) sync(ctx context.Context) error {
	tasks, err := e.tasks(ctx)
	if err != nil {
		return err
	}
	if err := e.images.reload(ctx); err != nil {
		return err
	}
	if e.loaded {
		for _, c := range e.table.containersOf("") {
			if c.state() == pluginv1.Container_STATE_RUNNING {
				e.checkTask(c, tasks[c.id])
			}
		}
		return nil
	}
	owner := e.output.tryAcquire()
	if err := e.load(ctx, tasks); err != nil {
		return err
	}
	e.loaded = true
	if !owner {
		e.work.Go(e.adoptLater)
		return nil
	}
	e.removeExecs(ctx)
	if e.leftAlone > 0 {
		// What belongs to them can't be told from what belongs to nobody.
		return nil
	}
	if err := e.removeOrphans(ctx); err != nil {
		e.logger.Warn("what calls that died left behind can't be removed", "err", err)
	}
	return nil
}

func (e *Engine) tasks(ctx context.Context) (map[string]*taskapi.Process, error) {
	resp, err := call(ctx, e.tasksClient().List, &tasksapi.ListTasksRequest{})
	if err != nil {
		return nil, classify(err, "list what runs in containerd")
	}
	tasks := map[string]*taskapi.Process{}
	for _, task := range resp.Tasks {
		tasks[task.ID] = task
	}
	return tasks, nil
}

// checkTask notes the end of a container whose exit event was missed.
func (e *Engine) checkTask(c *container, task *taskapi.Process) {
	switch {
	case task == nil:
		e.ended(c, exitStatus{code: unknownExit, at: time.Now(), message: "the container ended while nobody watched and its exit code is lost"})
	case task.Status == taskapi.Status_STOPPED:
		e.ended(c, exitStatus{code: task.ExitStatus, at: task.ExitedAt.AsTime(), known: true})
	}
}

// load fills the table from containerd and from our files.
func (e *Engine) load(ctx context.Context, tasks map[string]*taskapi.Process) error {
	records, err := e.client.ContainerService().List(ctx)
	if err != nil {
		return classify(err, "list the containers in containerd")
	}
	saved, err := e.files.readSandboxes()
	if err != nil {
		return fmt.Errorf("read what is known of sandboxes: %w", err)
	}
	for id, file := range saved {
		s, err := e.loadSandbox(id, file)
		if err != nil {
			return err
		}
		e.table.putSandbox(s)
	}
	for _, rec := range records {
		if err := e.loadContainer(ctx, rec, tasks[rec.ID]); err != nil {
			// One that can't be read must not keep the node from working.
			e.logger.Error("a container is left alone", "err", err)
			e.leftAlone++
		}
	}
	return nil
}

func (e *Engine) loadSandbox(id string, file *sandboxFile) (*sandbox, error) {
	s := &sandbox{id: id, create: &runtime.CreateSandboxRequest{SandboxId: id}}
	if len(file.Request) > 0 {
		if err := unmarshal(file.Request, s.create); err != nil {
			return nil, fmt.Errorf("sandbox %s: %w", id, err)
		}
	}
	s.info = e.sandboxInfo(s.create, file.CreatedAt)
	if file.Stopped || file.BootID != bootID() || !e.pinned(s.create) {
		s.info.State = pluginv1.Sandbox_STATE_STOPPED
		return s, nil
	}
	e.useCgroup(s.create.GetCgroupParent(), id)
	return s, nil
}

func (e *Engine) pinned(req *runtime.CreateSandboxRequest) bool {
	for _, kind := range sharedNamespaces(req) {
		if !namespaces.Pinned(namespaces.Path(e.files.sandboxDir(req.GetSandboxId()), kind)) {
			return false
		}
	}
	return true
}

func (e *Engine) loadContainer(ctx context.Context, record containers.Container, task *taskapi.Process) error {
	switch record.Labels[labelKind] {
	case kindHolder:
		return e.loadHolder(ctx, record, task)
	case kindApp:
	default:
		return fmt.Errorf("container %s in the namespace %s of containerd is not one of ours", record.ID, e.config.Namespace)
	}
	rec, info, err := decodeRecord(record)
	if err != nil {
		return err
	}
	c := newContainer(rec, info)
	if e.table.sandbox(rec.SandboxID) == nil {
		lost, err := lostSandbox(rec)
		if err != nil {
			return err
		}
		e.table.putSandbox(lost)
	}
	e.loadState(c, task)
	e.table.putContainer(c)
	if e.output.owned() {
		e.adopt(c)
	}
	if c.info.GetState() == pluginv1.Container_STATE_RUNNING {
		e.checkTask(c, task)
	}
	return nil
}

// lostSandbox is one of which only its containers tell: it can be removed.
func lostSandbox(rec *record) (*sandbox, error) {
	info := &runtime.Sandbox{}
	if err := unmarshal(rec.Sandbox, info); err != nil {
		return nil, err
	}
	info.State = pluginv1.Sandbox_STATE_STOPPED
	create := &runtime.CreateSandboxRequest{
		SandboxId: info.GetId(), Pod: info.GetPod(), Attempt: info.GetAttempt(), CgroupParent: rec.CgroupParent,
	}
	return &sandbox{id: info.GetId(), create: create, info: info}, nil
}

// loadState finds out how far a container came. RUNNING is what checkTask then
// looks at.
func (e *Engine) loadState(c *container, task *taskapi.Process) {
	info := c.info
	exit := &exitFile{}
	if readFile(e.files.exitPath(c.id), exit) == nil {
		exit.apply(info)
		info.State = pluginv1.Container_STATE_EXITED
		close(c.exited)
		return
	}
	started := &startedFile{}
	err := readFile(e.files.startedPath(c.id), started)
	switch {
	case err == nil:
		info.StartedAt, info.Pid = timestamppb.New(started.At), started.PID
		info.State = pluginv1.Container_STATE_RUNNING
	case task != nil && (task.Status == taskapi.Status_RUNNING || task.Status == taskapi.Status_STOPPED || task.Status == taskapi.Status_PAUSED):
		// Died between starting it and noting so.
		info.StartedAt, info.Pid = timestamppb.New(processStart(int(task.Pid))), task.Pid
		info.State = pluginv1.Container_STATE_RUNNING
	case !errors.Is(err, fs.ErrNotExist), !e.sandboxAlive(c):
		info.State = pluginv1.Container_STATE_RUNNING
	default:
		info.State = pluginv1.Container_STATE_CREATED
	}
}

func (e *Engine) sandboxAlive(c *container) bool {
	s := e.table.sandbox(c.rec.SandboxID)
	return s != nil && s.ready()
}

// processStart is when a process began, or now where that can't be told.
func processStart(pid int) time.Time {
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return time.Now()
	}
	return info.ModTime()
}

// adoptLater reads the output of containers that were running before this
// process once the process that still reads it, our predecessor, has ended.
func (e *Engine) adoptLater() {
	if err := e.output.acquire(e.ctx); err != nil {
		if e.ctx.Err() == nil {
			e.logger.Error("output of running containers is not read", "err", err)
		}
		return
	}
	if err := e.merge(e.ctx); err != nil && e.ctx.Err() == nil {
		e.logger.Error("what the plugin's predecessor did last is not known", "err", err)
	}
	for _, c := range e.table.containersOf("") {
		e.adopt(c)
	}
}

// adopt reads what a container writes, or what is left of it, where nobody
// does yet.
func (e *Engine) adopt(c *container) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams != nil || c.info.GetState() == pluginv1.Container_STATE_CREATED || e.ctx.Err() != nil {
		return
	}
	paths := output.FIFOs(e.files.containerDir(c.id), c.rec.Stdin, c.rec.TTY)
	if _, err := os.Stat(paths.Stdout); err != nil {
		return
	}
	streams, err := output.Open(output.Options{Paths: paths, LogPath: c.info.GetLogPath(), Logger: e.logger.With("container", c.id)})
	if err != nil {
		e.logger.Error("output of a container is not read", "container", c.id, "err", err)
		return
	}
	c.streams = streams
	e.keep(c.id, streams)
	if c.info.GetState() == pluginv1.Container_STATE_EXITED {
		streams.Ended()
		return
	}
	if paths.Stdin != "" {
		if c.stdin, err = output.OpenWrite(paths.Stdin); err != nil {
			e.logger.Error("input of a container is not connected", "container", c.id, "err", err)
		}
	}
}

// keep has a container's FIFOs kept open, beside this process, until its output
// has ended.
func (e *Engine) keep(id string, streams *output.Streams) {
	e.work.Go(func() {
		if err := e.keeper.Keep(id); err != nil {
			e.logger.Warn("the end of a container's output may be lost while the plugin is away", "container", id, "err", err)
		}
		<-streams.Done()
		if e.ctx.Err() != nil {
			return
		}
		if err := e.keeper.Drop(id); err != nil {
			e.logger.Warn("the FIFOs of an ended container stay open", "container", id, "err", err)
		}
	})
}
