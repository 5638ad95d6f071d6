# Everything is in scripts/; this only names it. `make help` lists the commands.
MAKEFLAGS += --no-print-directory
SHELL := bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup build run demo test screenshots package sim soak mutants audit bench bench-wake bench-load bench-window bench-decide clean

# For build, run and demo: `make run PROFILE=dev` builds faster and runs slower.
PROFILE := release

help: ## Show this list
	@awk -F ': ## ' '/^[a-z-]+: ## / { printf "make %-12s%s\n", $$1, $$2 }' Makefile

setup: ## Install what is missing to build, run and test (apt and npm packages, an ESPHome in .cache/)
	@bash scripts/setup.sh test

build: ## Build the window and all programs
	@PROFILE=$(PROFILE) bash scripts/build.sh

run: ## Set up, build and start Wakeflash; ARGS='--config DIR' is passed on
	@PROFILE=$(PROFILE) bash scripts/run.sh $(ARGS)

demo: ## Set up, build and start Wakeflash next to a real device that sleeps and wakes, without hardware
	@PROFILE=$(PROFILE) bash scripts/demo.sh $(ARGS)

test: ## Set up, then run every check and every test
	@bash scripts/test.sh

sim: ## Live 10,000 lives in virtual time; SEED=7 replays one with its story, ARGS='--help' lists more
	@SEED=$(SEED) bash scripts/sim.sh $(ARGS)

soak: ## Let the engine work for an hour that holds months, and judge whether it grows; ARGS='--seconds 900' is passed on
	@bash scripts/soak.sh $(ARGS)

audit: ## Check licences, sources and known vulnerabilities of all that Wakeflash is made of
	@bash scripts/audit.sh

mutants: ## Plant faults one by one and let the simulation find each (20 minutes); ARGS names some of them
	@bash scripts/mutants.sh $(ARGS)

screenshots: ## Draw pictures of every screen, in light and dark, into docs/screenshots
	@bash scripts/screenshots.sh

package: ## Build a .deb and try it: install, start, remove
	@bash scripts/package.sh

bench: ## Measure the OTA client against ESPHome's own; ARGS='--pairs 20' is passed on
	@bash scripts/bench.sh $(ARGS)

bench-wake: ## Measure how wakes are caught and what waiting costs; ARGS='--only waiting' is passed on
	@bash scripts/bench-wake.sh $(ARGS)

bench-load: ## Measure answers on a slow disk, an idle hour, 1,000 devices, 300 held ones; ARGS='--only held' is passed on
	@bash scripts/bench-load.sh $(ARGS)

bench-window: ## Measure the window: start, memory, keeping up; ARGS='--only memory' is passed on
	@bash scripts/bench-window.sh $(ARGS)

bench-decide: ## Measure what a decision costs with 1,000 devices
	@bash scripts/bench-decide.sh $(ARGS)

clean: ## Remove what was built; ESPHome and the npm packages stay
	@bash scripts/clean.sh
