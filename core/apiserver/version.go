package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"

	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
)

// The version of the API that is served, which clients compare with their own.
const (
	servedMajor = "1"
	servedMinor = "37"
)

// completeVersion fills in what the caller left out from the build itself.
func completeVersion(v version.Info) version.Info {
	setDefault(&v.Major, servedMajor)
	setDefault(&v.Minor, servedMinor)
	setDefault(&v.GoVersion, runtime.Version())
	setDefault(&v.Compiler, runtime.Compiler)
	setDefault(&v.Platform, runtime.GOOS+"/"+runtime.GOARCH)
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, s := range build.Settings {
			switch s.Key {
			case "vcs.revision":
				setDefault(&v.GitCommit, s.Value)
			case "vcs.time":
				setDefault(&v.BuildDate, s.Value)
			case "vcs.modified":
				state := "clean"
				if s.Value == "true" {
					state = "dirty"
				}
				setDefault(&v.GitTreeState, state)
			}
		}
	}
	setDefault(&v.GitVersion, "v"+v.Major+"."+v.Minor+".0+pintle")
	return v
}

func (c *call) version() error {
	return c.answerPlain(c.s.opts.Version)
}

// index lists the paths for a person who looks around.
func (c *call) index() error {
	list := struct {
		Paths []string `json:"paths"`
	}{append(c.s.paths.discovery.Paths(), "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version")}
	return c.answerPlain(list)
}

// answerPlain answers with JSON that is no API object.
func (c *call) answerPlain(v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %T: %w", v, err)
	}
	a := newAnswer(&c.w, c.r, http.StatusOK, apiruntime.ContentTypeJSON)
	a.buf = append(append(a.buf, raw...), '\n')
	a.finish()
	return nil
}
