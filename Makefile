# SPDX-License-Identifier: Apache-2.0
# The front door. It only forwards: Meson builds, the scripts in tools/ do the rest.
SAN ?=
build := build$(if $(SAN),-$(SAN))

# PROMPT is taken as the text it is: nothing in it is expanded by make or by a shell.
ifeq ($(origin PROMPT),command line)
override PROMPT := $(value PROMPT)
export SOBRE_PROMPT := $(value PROMPT)
endif

.PHONY: all everything run test test-models check tidy bench fuzz soak reference clean help bootstrap
all: bootstrap
	@tools/build command $(SAN)

# Everything that tests need, too.
everything: bootstrap
	@tools/bootstrap test
	@tools/build $(SAN)
	@tools/test-env || true # what needs it is skipped, and says so

bootstrap:
	@tools/bootstrap

run: bootstrap
	@tools/build command >&2
	@tools/run

test: everything
	@$(build)/sobre pull smollm2-135m >&2
	@tools/run-tests $(build)

test-models: everything
	@$(build)/sobre pull smollm2-135m >&2
	@$(build)/sobre pull gemma3-270m --accept-license >&2
	@tools/run-tests $(build) models

check:
	@tools/bootstrap lint
	@tools/build >&2
	@tools/check

tidy:
	@tools/bootstrap lint
	@tools/build >&2
	@tools/lint-tidy --all

bench: all
	@tools/bench $(if $(LLAMA_BENCH),--llama-bin "$(LLAMA_BENCH)")

soak: everything
	@$(build)/sobre pull smollm2-135m >&2
	@tools/soak

fuzz:
	@tools/bootstrap lint
	@tools/fuzz

reference:
	@tools/reference
	@tools/check-tokenizers --golden

clean:
	rm -rf build build-address build-thread build-memory build-fuzz

help:
	@sed -n 's/^#: //p' Makefile

#: make                    builds build/sobre
#: make run                sets up, builds, pulls the default model once and starts the server with its page
#: make run PROMPT="..."   the same, answering once
#: make test               the same set-up, then every test that needs no GPU
#: make test-models        end-to-end tests with both catalogue models (Gemma: accepts its terms)
#: make SAN=address test   the tests under a sanitizer: address (and undefined), thread, memory
#: make check              the lints
#: make tidy               clang-tidy over the whole tree
#: make bench              speed on this machine, beside llama.cpp (built once, or LLAMA_BENCH=PROGRAM)
#: make fuzz               the fuzzers, 60 s each
#: make soak               the server under what a long day brings (hours; tools/soak has shorter ways)
#: make reference          remakes the golden files (needs the reference implementations)
#: make clean              removes the build directories
