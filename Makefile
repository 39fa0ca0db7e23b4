# 闭环客服 Bihuan. `make help` lists what can be done here.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X bihuan/internal/app.Version=$(VERSION)
DATA    ?= ./data
LISTEN  ?= 127.0.0.1:8080

.DEFAULT_GOAL := help
.PHONY: help run demo build test check guard race bench golden clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Build and serve from ./data on http://127.0.0.1:8080
	./bin/bihuan serve --listen $(LISTEN) --data $(DATA)

demo: build ## The same with sample data, in ./data/demo
	./bin/bihuan serve --listen $(LISTEN) --data $(DATA)/demo --demo

build: ## Build bin/bihuan, one static program
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/bihuan ./cmd/bihuan

test: ## Every test, on SQLite and on a PostgreSQL it starts itself, and in a browser
	./scripts/test.sh

check: ## Formatting, vet, staticcheck, guards, race detector
	./scripts/check.sh

race: ## Every test with the race detector (slow; `make check` runs the short form)
	GOTEST_FLAGS=-race ./scripts/test.sh

bench: build ## Speed and cost of the daily paths, beside bare statements
	./scripts/bench.sh

golden: ## Write the golden files of the guards anew; read the difference before committing
	./scripts/test.sh ./internal/guard -update
	go generate ./internal/api/v1

clean: ## Remove what was built
	rm -rf bin
