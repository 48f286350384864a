# Variables to set on the command line:
EXAMPLE   ?= wordcount
FUZZTIME  ?= 10s
CHAOSTIME ?= 10m
CHAOSRATE ?= 400
BROKERS   ?= 1
SOAKTIME  ?= 30m
SOAKRATE  ?= 200
SEED      ?= 1
COUNT     ?= 10
PACKAGES  ?= ./...
TESTFLAGS ?=
BENCHFLAGS ?=
ONLY      ?=

# Tools are in a module of their own, built on first use and kept in Go's build cache.
TOOL     = go tool -modfile=$(CURDIR)/tools/go.mod
SERVICES = go run ./internal/services/cmd/services
# Further modules of this repository, which "./..." does not see.
MODULES  = $(patsubst %/go.mod,%,$(wildcard benchmark/go.mod test/*/go.mod))

# Packages whose hot paths have a committed baseline of allocations.
GUARDED  = ./runtime ./runtime/kafka ./runtime/postgres

# Handed on to the examples where they are set.
export $(foreach name,TEXT ONCE DATA_DIR,$(if $(filter-out undefined,$(origin $(name))),$(name)))

.DEFAULT_GOAL := help
.PHONY: help run test test-race simulate lint format generate build bench bench-report bench-micro baseline fuzz chaos soak compose-test up down clean

help: ## Show this list
	@echo 'usage: make TARGET [VARIABLE=value ...]'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Run an example in this process; TEXT=file-or-folder, ONCE=1 to end by itself, EXAMPLE=wordcount, DATA_DIR=folder to keep
	go run ./example/$(EXAMPLE) demo

test: ## Test everything that can be tested on this machine, and say what can't; PACKAGES=./..., TESTFLAGS=
	$(SERVICES) run -- go test -timeout 40m $(TESTFLAGS) $(PACKAGES)

test-race: ## The same under the race detector, in random order
	$(SERVICES) run -- go test -timeout 40m -race -shuffle=on $(TESTFLAGS) $(PACKAGES)

simulate: SEEDS ?= 10000
simulate: FROM ?= 0
simulate: ## Simulate crashes and faults in virtual time, SEEDS=10000 FROM=0
	go test ./internal/simulation -run '^TestSimulation$$' -count=1 -timeout 0 -sim.from=$(FROM) -sim.seeds=$(SEEDS)

lint: ## Check the code and its format
	$(TOOL) golangci-lint run ./...
	@for module in $(MODULES); do (cd $$module && $(TOOL) golangci-lint run ./...) || exit 1; done

format: ## Format the code
	$(TOOL) golangci-lint fmt ./...
	@for module in $(MODULES); do (cd $$module && $(TOOL) golangci-lint fmt ./...) || exit 1; done

generate: ## Make the generated code anew
	go generate ./...

build: ## Build the examples as static binaries into bin/
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/ ./example/...

bench: ## Measure on a real broker and database and write docs/benchmarks.md; ONLY=count-zipf,map for parts, BENCHFLAGS='-runs 3'
	go run -C benchmark . measure -results results.jsonl $(if $(ONLY),-only $(ONLY)) $(BENCHFLAGS)
	@$(MAKE) --no-print-directory bench-report

bench-report: ## Write docs/benchmarks.md and its figures of what was measured
	go run -C benchmark . report

bench-micro: ## Benchmark the hot path with allocations, in a form for benchstat; COUNT=10
	@go test -run '^$$' -bench . -benchmem -count $(COUNT) ./topic ./format ./stateless ./stateful ./join ./runtime
	@go test -run '^$$' -bench HotPath -benchmem -count $(COUNT) $(filter-out ./runtime,$(GUARDED))

baseline: ## Write anew what the hot path may allocate, from which the tests allow a tenth more
	go test -run '^TestHotPathAllocations$$' -count 1 $(GUARDED) -baseline.write

fuzz: ## Fuzz every target for FUZZTIME=10s
	@for package in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -r -n1 dirname | sort -u); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

chaos: ## Break everything under word count and a shop and judge what is left; CHAOSTIME=10m, SEED=1, BROKERS=1 or 3, CHAOSRATE=400 lines a second
	go test ./integration -run '^TestChaos$$' -count=1 -v -timeout 0 -chaos.time=$(CHAOSTIME) -chaos.seed=$(SEED) -chaos.rate=$(CHAOSRATE) -chaos.brokers=$(BROKERS)

soak: ## Keep everything under load, restart a process a minute, and write docs/soak.csv and .svg of what must not grow; SOAKTIME=30m, SOAKRATE=200
	go test ./integration -run '^TestSoak$$' -count=1 -v -timeout 0 -soak.time=$(SOAKTIME) -soak.rate=$(SOAKRATE) -soak.file=$(CURDIR)/docs/soak.csv
	go run -C benchmark ./plot -out ../docs/soak.svg -title 'Under load for $(SOAKTIME), a restart every minute' ../docs/soak.csv

compose-test: ## Run the shop on containers, one a function, kill some and judge the result; says so where there is no Docker
	test/compose/run

up: ## Start a Kafka broker and a Postgres server on this machine and print what to export
	@$(SERVICES) up

down: ## Stop what "make up" started and delete its data
	@$(SERVICES) down

clean: down ## Delete what was built, fetched and kept, and stop what "make up" started
	rm -rf bin .services .data coverage.out
