package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protojson"

	pluginv1 "github.com/pintle-io/pintle/proto/pintle/plugin/v1"
	"github.com/pintle-io/pintle/sdk/errs"
)

func TestDecodeConfig(t *testing.T) {
	type config struct {
		Server string `json:"server"`
		Limits struct {
			Max int `json:"max"`
		} `json:"limits"`
	}
	decode := func(text string) (config, error) {
		c := config{Server: "default"}
		err := DecodeConfig(&ConfigureRequest{Config: []byte(text)}, &c)
		return c, err
	}
	for _, empty := range []string{"", " \n", "null", "{}"} {
		if c, err := decode(empty); err != nil || c.Server != "default" {
			t.Errorf("%q: %+v, %v", empty, c, err)
		}
	}
	if c, err := decode(`{"limits": {"max": 3}}`); err != nil || c.Limits.Max != 3 || c.Server != "default" {
		t.Errorf("a partial configuration: %+v, %v", c, err)
	}
	for text, words := range map[string]string{
		`{"sever": "x"}`:               `unknown field "sever"`,
		`{"limits": {"max": "three"}}`: "field limits.max: expected int, got string",
		"{\"server\":\n  oops}":        "line 2, column 4",
		`{"server": "x"} {}`:           "after the end",
		`{"server"`:                    "ends too early",
		`[]`:                           "expected plugin.config, got array",
	} {
		_, err := decode(text)
		if !errs.Is(err, errs.ClassInvalidArgument) || !strings.Contains(err.Error(), words) || errs.Reason(err) != "InvalidConfig" {
			t.Errorf("%s gives %v, which does not say %q", text, err, words)
		}
	}
}

func FuzzDecodeConfig(f *testing.F) {
	f.Add([]byte(`{"a": [1, {"b": null}]}`))
	f.Add([]byte("{\n\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var into struct {
			A []int `json:"a"`
		}
		if err := DecodeConfig(&ConfigureRequest{Config: text}, &into); err != nil && !errs.Is(err, errs.ClassInvalidArgument) {
			t.Fatal(err)
		}
	})
}

func TestTypeNames(t *testing.T) {
	for n := range pluginv1.PluginType_name {
		kind := pluginv1.PluginType(n)
		name := TypeName(kind)
		back, err := ParseType(name)
		if kind == pluginv1.PluginType_PLUGIN_TYPE_UNSPECIFIED {
			if err == nil {
				t.Error("the unspecified type has a name")
			}
			continue
		}
		if err != nil || back != kind || strings.HasPrefix(name, "type(") {
			t.Errorf("type %d is named %q, which is type %d, %v", n, name, back, err)
		}
	}
	if TypeName(99) != "type(99)" {
		t.Errorf("an unknown type is named %q", TypeName(99))
	}
}

// contract is one of type volume without its calls.
type contract struct{ implementation any }

func (c contract) Type() pluginv1.PluginType        { return pluginv1.PluginType_PLUGIN_TYPE_VOLUME }
func (c contract) Register(r grpc.ServiceRegistrar) { pluginv1.RegisterVolumeServer(r, volume{}) }
func (c contract) Describe(d *pluginv1.DescribeResponse) {
	d.Capabilities = []string{"usage"}
}
func (c contract) Implementation() any { return c.implementation }

type volume struct {
	pluginv1.UnimplementedVolumeServer
}

func (volume) Mount(context.Context, *pluginv1.MountVolumeRequest) (*pluginv1.MountVolumeResponse, error) {
	return nil, fmt.Errorf("mount: %w", errs.NotFound("no such export").WithReason("NoExport"))
}

type configurer struct{ fail, unhealthy error }

func (c *configurer) Configure(context.Context, *ConfigureRequest) error { return c.fail }
func (c *configurer) Health(context.Context) error                       { return c.unhealthy }

// dial serves a contract in memory, with the options of both sides.
func dial(t *testing.T, c Contract) *grpc.ClientConn {
	t.Helper()
	svc := newService(Info{Name: "test", Version: "1"}, c)
	server := grpc.NewServer(serverOptions(svc)...)
	pluginv1.RegisterPluginServer(server, svc)
	c.Register(server)
	listener := bufconn.Listen(1 << 16)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///test", append(dialOptions(),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestOrderOfCalls(t *testing.T) {
	implementation := &configurer{fail: errs.InvalidArgument("wrong")}
	conn := dial(t, contract{implementation})
	client, mounter := pluginv1.NewPluginClient(conn), pluginv1.NewVolumeClient(conn)

	_, err := mounter.Mount(t.Context(), &pluginv1.MountVolumeRequest{})
	if !errs.Is(err, errs.ClassFailedPrecondition) || errs.Reason(err) != "NotConfigured" {
		t.Errorf("a call before Configure gives %v", err)
	}
	if _, err := client.Configure(t.Context(), &pluginv1.ConfigureRequest{}); !errs.Is(err, errs.ClassInvalidArgument) {
		t.Errorf("Configure gives %v", err)
	}
	implementation.fail = nil
	if _, err := client.Configure(t.Context(), &pluginv1.ConfigureRequest{}); err != nil {
		t.Errorf("Configure after one that failed gives %v", err)
	}
	if _, err := client.Configure(t.Context(), &pluginv1.ConfigureRequest{}); errs.Reason(err) != "AlreadyConfigured" {
		t.Errorf("a second Configure gives %v", err)
	}
	_, err = mounter.Mount(t.Context(), &pluginv1.MountVolumeRequest{})
	if !errs.Is(err, errs.ClassNotFound) || errs.Reason(err) != "NoExport" || err.Error() != "mount: no such export" {
		t.Errorf("the author's error arrives as %v", err)
	}
	if _, err := mounter.Unmount(t.Context(), &pluginv1.UnmountVolumeRequest{}); !errs.Is(err, errs.ClassUnimplemented) {
		t.Errorf("a call that is not implemented gives %v", err)
	}
}

func TestOptionalPowers(t *testing.T) {
	plain := pluginv1.NewPluginClient(dial(t, contract{struct{}{}}))
	if resp, err := plain.Health(t.Context(), &pluginv1.HealthRequest{}); err != nil || !resp.GetHealthy() {
		t.Errorf("health of a plugin without HealthChecker: %v, %v", resp, err)
	}
	if _, err := plain.Configure(t.Context(), &pluginv1.ConfigureRequest{Config: []byte(`{"a":1}`)}); !errs.Is(err, errs.ClassInvalidArgument) {
		t.Errorf("a plugin that takes no configuration gets one: %v", err)
	}
	sick := pluginv1.NewPluginClient(dial(t, contract{&configurer{unhealthy: errs.Unavailable("no server").WithHint("start it")}}))
	if resp, err := sick.Health(t.Context(), &pluginv1.HealthRequest{}); err != nil || resp.GetHealthy() || resp.GetMessage() != "no server (start it)" {
		t.Errorf("health of a sick plugin: %v, %v", resp, err)
	}
}

func TestMessageLimit(t *testing.T) {
	client := pluginv1.NewPluginClient(dial(t, contract{&configurer{}}))
	_, err := client.Configure(t.Context(), &pluginv1.ConfigureRequest{Config: make([]byte, MaxMessageSize+1)})
	if !errs.Is(err, errs.ClassResourceExhausted) {
		t.Errorf("a message over the limit gives %v", err)
	}
	if _, err := client.Configure(t.Context(), &pluginv1.ConfigureRequest{Config: make([]byte, MaxMessageSize-1024)}); err != nil {
		t.Errorf("a message at the limit gives %v", err)
	}
}

func TestByHand(t *testing.T) {
	info := Info{Name: "nfs", Version: "1.2", ConfigSchema: []byte("{}")}
	var stdout, stderr bytes.Buffer
	if code := byHand(info, contract{}, nil, &stdout, &stderr); code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"volume/nfs 1.2", "kind: Plugin", "type: volume", "name: nfs"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("it does not say %q: %s", want, &stderr)
		}
	}
	if code := byHand(info, contract{}, []string{"--describe"}, &stdout, &stderr); code != 0 {
		t.Errorf("exit code of --describe %d", code)
	}
	var d pluginv1.DescribeResponse
	if err := protojson.Unmarshal(stdout.Bytes(), &d); err != nil || d.GetName() != "nfs" || d.GetCapabilities()[0] != "usage" {
		t.Errorf("--describe prints %s, %v", &stdout, err)
	}
}

// TestLogLines: a line has the keys that hosts on go-plugin parse.
func TestLogLines(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(newLogHandler(&out, slog.LevelInfo))
	log.Debug("hidden")
	log.With("a", 1).WithGroup("g").Warn("hello", "msg", "inner", "error", errors.New("bad"))
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	if line["@level"] != "warn" || line["@message"] != "hello" || line["a"] != 1.0 {
		t.Errorf("the line is %s", &out)
	}
	if group, ok := line["g"].(map[string]any); !ok || group["msg"] != "inner" || group["error"] != "bad" {
		t.Errorf("the group is %v", line["g"])
	}
	if _, err := time.Parse(hclogTime, line["@timestamp"].(string)); err != nil {
		t.Error(err)
	}
	for level, want := range map[slog.Level]string{slog.LevelDebug - 4: "trace", slog.LevelDebug: "debug", slog.LevelInfo + 1: "info", slog.LevelError + 4: "error"} {
		if got := hclogLevel(slog.AnyValue(level)); got != want {
			t.Errorf("level %v is %q, want %q", level, got, want)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, good := range []string{"nfs", "a-1"} {
		if err := CheckName(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "NFS", "../x", "a.b", strings.Repeat("x", 64)} {
		if CheckName(bad) == nil {
			t.Errorf("%q passes", bad)
		}
	}
}
