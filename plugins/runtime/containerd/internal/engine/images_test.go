package engine

import (
	"bytes"
	"compress/gzip"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/pintle-io/pintle/sdk/errs"
	"github.com/pintle-io/pintle/sdk/runtime"
)

// testRegistry serves images on loopback to who knows the password.
type testRegistry struct{ host string }

func startRegistry(t *testing.T, user, password string) *testRegistry {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gotUser, gotPassword, _ := r.BasicAuth()
		if user != "" && (gotUser != user || gotPassword != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return &testRegistry{host: strings.TrimPrefix(server.URL, "http://")}
}

func (r *testRegistry) push(t *testing.T, repository string, user, password string) {
	t.Helper()
	ref, err := name.ParseReference(r.host + "/" + repository)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, shared.image, remote.WithAuth(&authn.Basic{Username: user, Password: password})); err != nil {
		t.Fatal(err)
	}
}

func TestPull(t *testing.T) {
	n := newNode(t)
	reg := startRegistry(t, "user", "secret")
	reg.push(t, "team/app:1", "user", "secret")
	ref := reg.host + "/team/app:1"
	pull := func(image string, auths ...*runtime.RegistryAuth) (*runtime.Image, *runtime.PullProgress, error) {
		var last *runtime.PullProgress
		got, err := n.PullImage(n.ctx, &runtime.PullImageRequest{Image: image, Auths: auths}, func(p *runtime.PullProgress) { last = p })
		return got, last, err
	}
	good := &runtime.RegistryAuth{Username: "user", Password: "secret"}
	bad := &runtime.RegistryAuth{Username: "user", Password: "wrong"}
	for what, auths := range map[string][]*runtime.RegistryAuth{"none": nil, "wrong": {bad}} {
		if _, _, err := pull(ref, auths...); !errs.Is(err, errs.ClassPermissionDenied) {
			t.Errorf("credentials %s: %v", what, err)
		}
	}
	image, last, err := pull(ref, bad, good)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := n.RemoveImage(n.ctx, &runtime.RemoveImageRequest{Image: ref}); err != nil {
			t.Error(err)
		}
	})
	if !slices.Contains(image.GetTags(), ref) || len(image.GetDigests()) == 0 || image.GetStopSignal() != "SIGINT" || image.GetSizeBytes() == 0 {
		t.Errorf("image: %v", image)
	}
	if last == nil || last.GetDoneBytes() > last.GetTotalBytes() {
		t.Errorf("progress: %v", last)
	}
	byDigest := image.GetDigests()[slices.IndexFunc(image.GetDigests(), func(d string) bool { return strings.HasPrefix(d, reg.host) })]
	if got, err := n.GetImage(n.ctx, &runtime.GetImageRequest{Image: byDigest}); err != nil || got.GetImage().GetId() != image.GetId() {
		t.Errorf("by digest: %v, %v", got, err)
	}
	if got := n.output(n.sandbox(nil), nil, func(req *runtime.CreateContainerRequest) { req.Image = ref }); got != "hello\n" {
		t.Errorf("a pulled image runs: %q", got)
	}
	if _, _, err := pull(reg.host+"/team/app:none", good); !errs.Is(err, errs.ClassNotFound) {
		t.Errorf("no such tag: %v", err)
	}
	if _, _, err := pull("127.0.0.1:1/team/app:1"); !errs.Is(err, errs.ClassUnavailable) {
		t.Errorf("no such registry: %v", err)
	}
	if _, _, err := pull("No Name"); !errs.Is(err, errs.ClassInvalidArgument) {
		t.Errorf("no name: %v", err)
	}
}

func TestPullFromMirror(t *testing.T) {
	reg := startRegistry(t, "", "")
	reg.push(t, "library/mirrored:1", "", "")
	n := newNode(t)
	n.config.Mirrors = map[string][]string{"docker.io": {"http://127.0.0.1:1", "http://" + reg.host}}
	image, err := n.PullImage(n.ctx, &runtime.PullImageRequest{Image: "mirrored:1", Auths: []*runtime.RegistryAuth{{Username: "hub", Password: "secret"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(image.GetTags(), "docker.io/library/mirrored:1") {
		t.Errorf("tags: %v", image.GetTags())
	}
	if _, err := n.RemoveImage(n.ctx, &runtime.RemoveImageRequest{Image: "mirrored:1"}); err != nil {
		t.Error(err)
	}
}

func TestImport(t *testing.T) {
	n := newNode(t)
	other, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	if other, err = mutate.ConfigFile(other, withConfig(other, shared.config(t))); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := layout.Write(dir, mutate.AppendManifests(emptyIndex(), mutate.IndexAddendum{Add: other})); err != nil {
		t.Fatal(err)
	}
	oci, err := tarDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write(shared.archive(t, other, "pintle.test/zipped:1").Bytes())
	_ = w.Close()
	id, err := other.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		archive     io.Reader
		defaultName string
		tag         string
	}{
		"OCI archive without a name": {bytes.NewReader(oci), "named", "docker.io/library/named:latest"},
		"gzipped docker archive":     {&zipped, "", "pintle.test/zipped:1"},
	} {
		resp, err := n.ImportImage(n.ctx, &runtime.ImportImageRequest{DefaultName: c.defaultName}, c.archive)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if len(resp.GetImages()) != 1 || !slices.Contains(resp.GetImages()[0].GetTags(), c.tag) || resp.GetImages()[0].GetId() != id.String() {
			t.Errorf("%s: %v", what, resp)
		}
	}
	// Both names are of one image, which one call removes.
	if _, err := n.RemoveImage(n.ctx, &runtime.RemoveImageRequest{Image: id.Hex}); err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"named", "pintle.test/zipped:1", id.String()} {
		if _, err := n.GetImage(n.ctx, &runtime.GetImageRequest{Image: tag}); !errs.Is(err, errs.ClassNotFound) {
			t.Errorf("%s after its removal: %v", tag, err)
		}
	}
	if _, err := n.ImportImage(n.ctx, &runtime.ImportImageRequest{}, bytes.NewReader(oci)); !errs.Is(err, errs.ClassInvalidArgument) {
		t.Errorf("no name at all: %v", err)
	}
}

func TestMissingContainerdSaysHowToGetIt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := t.TempDir()
	e := New()
	// The system's may well be there.
	e.config.OwnDaemon = true
	err := e.Open(t.Context(), filepath.Join(dir, "s"), filepath.Join(dir, "r"))
	if !errs.Is(err, errs.ClassFailedPrecondition) || !strings.Contains(errs.Hint(err), "install") {
		t.Errorf("%v (%s)", err, errs.Hint(err))
	}
}
