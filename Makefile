# `make help` lists the targets.
SHELL := bash
GO    ?= go
ARGS  ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-24s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/dalang
	$(GO) build -o bin/dalang ./cmd/dalang

.PHONY: run
run: build ## build and serve on http://127.0.0.1:8080, data under ./data (more arguments: ARGS="--listen …")
	exec bin/dalang serve $(ARGS)

.PHONY: test
test: lint unit race ## everything a change must pass: lint, unit, race, txtar, conformance, a short crash loop

.PHONY: unit
unit: ## the tests without the race detector
	$(GO) test ./...

.PHONY: race
race: ## the same with the race detector: what runs concurrently, then the whole against a program built with it
	$(GO) test -race -short ./commands/... ./dlo/... ./orchestrator/... ./server/... ./store/...
	GOFLAGS=-race DALANG_HOSTILE_REQUESTS=1000 $(GO) test -count=1 ./cmd/internal/takeover ./cmd/internal/conformance ./cmd/internal/crash ./cmd/internal/hostile ./cmd/internal/orchestration

.PHONY: lint
lint: ## gofmt, vet, import directions, sizes, what docs must name
	$(GO) vet ./...
	$(GO) vet -tags acceptance ./cmd/internal/acceptance ./orchestrator/agent/action
	$(GO) test -count=1 ./cmd/internal/lint

.PHONY: acceptance
acceptance: ## real Puppet termini against the binary (installs Debian's puppet packages)
	$(GO) test -tags acceptance -count=1 -timeout 20m -run TestTermini ./cmd/internal/acceptance

.PHONY: acceptance-orchestrator
acceptance-orchestrator: ## jobs, tasks, plans and schedules with a real Puppet Server, real agents and OpenSSH (installs Debian's packages)
	$(GO) test -tags acceptance -count=1 -timeout 40m -run TestOrchestrator -v ./cmd/internal/acceptance
	$(GO) test -tags acceptance -count=1 -run TestRealPuppet ./orchestrator/agent/action

.PHONY: clients
clients: ## pypuppetdb, cumin and octocatalog-diff against the binary, beside what a real PuppetDB gave them (installs Debian's packages)
	$(GO) test -tags acceptance -count=1 -timeout 20m -run '^TestClients$$' ./cmd/internal/acceptance

.PHONY: crash
crash: ## the long crash loop: 300 kills
	DALANG_CRASH_KILLS=300 $(GO) test -count=1 -timeout 30m ./cmd/internal/crash

.PHONY: crash-orchestrator
crash-orchestrator: ## a job on 200 nodes, schedules, tasks and plans, while server, agents and connections are killed 60 times
	DALANG_CRASH_NODES=200 DALANG_CRASH_TASK_NODES=8 DALANG_CRASH_JOB_KILLS=60 $(GO) test -count=1 -timeout 30m -run Kills -v ./cmd/internal/orchestration

.PHONY: bench
bench: ## micro-benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./wireformat/... ./commands/... ./store/... ./dlo/... ./server/...

.PHONY: bench-query
bench-query: ## the hot classes of queries over DALANG_BENCH_NODES nodes (500), without HTTP: time and memory of each
	DALANG_BENCH_NODES=$${DALANG_BENCH_NODES:-500} $(GO) test -run '^$$' -bench '^BenchmarkQuery$$' ./store/query

.PHONY: bench-broker
bench-broker: ## what 10,000 idle agents cost the server: memory and processor time (6 minutes)
	DALANG_BENCH_AGENTS=10000 $(GO) test -count=1 -timeout 30m -run TestIdleAgents -v ./cmd/internal/brokerbench

.PHONY: bench-deploy
bench-deploy: ## a deploy on 5,000 simulated nodes, beside ingestion and hostile peers: times, processor, memory (5 minutes)
	DALANG_BENCH_NODES=$${DALANG_BENCH_NODES:-5000} $(GO) test -count=1 -timeout 30m -run TestDeploy -v ./cmd/internal/brokerbench

.PHONY: bench-tasks
bench-tasks: ## a task on 1,000 simulated agents and on 1,000 targets over SSH, some of them hostile: times, processor, memory (3 minutes)
	DALANG_BENCH_NODES=$${DALANG_BENCH_NODES:-1000} $(GO) test -count=1 -timeout 30m -run TestTasks -v ./cmd/internal/brokerbench

FUZZTIME ?= 30s

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (30s)
	@set -e; for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "== $$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

.PHONY: difffuzz
difffuzz: ## random queries to this and to the real PuppetDB at DALANG_ORACLE (skipped without one); see cmd/internal/difffuzz
	DALANG_ORACLE=$${DALANG_ORACLE:-http://127.0.0.1:8090} $(GO) test -count=1 -timeout 2h -run '^TestDifferences$$' -v ./cmd/internal/difffuzz

.PHONY: docs
docs: ## write the generated pages anew: docs/{configuration,cli,metrics,api/routes,api/entities,api/states}.md
	$(GO) test -count=1 -run '^TestDocs(Routes|Metrics|Entities|States)?$$' ./cmd/internal/config ./cmd/internal/lint ./cmd/dalang -update

.PHONY: golden
golden: ## write all goldens anew, and what the examples in docs/ print; look at the diff
	$(GO) test -count=1 $$(grep -rl 'flag.Bool("update"' --include=*_test.go . | xargs -n 1 dirname | sort -u) -update

.PHONY: verify
verify: docs ## write the generated pages anew and fail when that changes them
	git diff --exit-code -- $$(grep -rl 'by `make docs`. Do not edit.' docs)

.PHONY: clean
clean: ## remove what was built; data stays
	rm -rf bin
