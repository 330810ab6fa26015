# make demo       install what is missing, build everything, run the demo
# make demo-down  take everything back
# make test       every test, the end-to-end ones included; needs root
# make soak       the long forms: PINTLE_SOAK=30m by default
# make bench      benchmarks against peers and floors

SHELL := /bin/bash
.DELETE_ON_ERROR:
.SHELLFLAGS := -eu -o pipefail -c

GO ?= go
BIN := bin
PLUGINS := $(patsubst plugins/%/main.go,%,$(wildcard plugins/*/*/main.go))
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
PACKAGES_RUN := containerd runc iptables containernetworking-plugins nfs-common conntrack
PACKAGES_TEST := $(PACKAGES_RUN) nfs-ganesha nfs-ganesha-vfs rpcbind etcd-server debootstrap crun iproute2 nftables fuse3 procps curl kmod bsdutils util-linux

.PHONY: all build generate generated breaking vet test unit e2e soak bench demo demo-down deps deps-test clean

all: build

build:
	mkdir -p $(BIN)/plugins
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/...
	$(foreach p,$(PLUGINS),CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/plugins/$(subst /,-,$(p)) ./plugins/$(p);)

# Generated code is committed; this makes it again with the pinned tools.
generate:
	cd proto && $(GO) tool -modfile=tools.mod buf generate
	$(GO) run k8s.io/code-generator/cmd/deepcopy-gen@v0.37.2 --output-file zz_generated.deepcopy.go --go-header-file /dev/null ./sdk/api/v1

# What is committed is what the tools make.
generated: generate
	git diff --exit-code -- '*.pb.go' '*zz_generated*'

# Within one major version the contracts only grow: compared with the commit
# before the last, or with BASE.
BASE ?= HEAD~1
breaking:
	cd proto && $(GO) tool -modfile=tools.mod buf lint
	if git rev-parse -q --verify $(BASE):proto/pintle >/dev/null 2>&1; then \
		old=$$(mktemp -d); trap 'rm -rf "$$old"' EXIT; \
		git archive $(BASE) proto | tar -x -C "$$old"; \
		cd proto && $(GO) tool -modfile=tools.mod buf breaking --against "$$old/proto"; \
	fi

vet:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "not formatted: $$unformatted"; exit 1; fi
	$(GO) vet ./...

deps:
	contrib/install-packages $(PACKAGES_RUN)

deps-test:
	contrib/install-packages $(PACKAGES_TEST)

test: deps-test build vet generated breaking unit e2e

unit:
	$(GO) test -race -timeout 30m $$($(GO) list ./... | grep -v /contrib/e2e)

e2e: build
	$(GO) test -count=1 -timeout 40m -v ./contrib/e2e/...

soak: deps-test build
	PINTLE_SOAK=$${PINTLE_SOAK:-30m} $(GO) test -count=1 -timeout 3h -v ./core/store/... ./core/loop/...

bench: deps-test build
	$(GO) run ./core/store/bench

demo: deps build
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN)/demo/ ./contrib/demo/...
	$(BIN)/demo/demo

demo-down:
	$(BIN)/pintled reset

clean:
	rm -rf $(BIN)
