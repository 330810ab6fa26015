package main

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/pintle-io/pintle/sdk/conformance"
)

func TestConformance(t *testing.T) {
	server := startServer(t)
	source := func(address, path string) []byte {
		b, err := json.Marshal(corev1.NFSVolumeSource{Server: address, Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	conformance.Test(t, conformance.Options{
		Executable: executable,
		Volume: &conformance.VolumeOptions{
			Source: source(serverAddress, server.export()),
			Invalid: [][]byte{
				source("", "/x"), source(serverAddress, ""), source(serverAddress, "x"), source(serverAddress, "/x/../y"),
				source("-oexec", "/x"), source("a,b", "/x"), source("a b", "/x"), source(serverAddress, "/x\n"),
			},
			Missing:     [][]byte{source(serverAddress, server.export()+"/nowhere")},
			Unreachable: [][]byte{source("192.0.2.1", "/x"), source("nfs.invalid", "/x")},
		},
	})
}
