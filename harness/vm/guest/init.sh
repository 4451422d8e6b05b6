#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# PID 1 of the guest. Says what it does on the serial console, in lines that begin with NVME-CONFORM
# (klog.py reads them), and then obeys the control port (control.py).

CONFIG=/sys/kernel/config

# What was said is kept for inside.py, which runs where nobody reads the console.
say() { echo "NVME-CONFORM $*" | tee -a /run/said >/dev/console; }
give_up() { say "ERROR $*"; poweroff -f; }

mount_file_systems() {
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mount -t devtmpfs dev /dev 2>/dev/null
	mount -t tmpfs tmpfs /run
	mount -t tmpfs tmpfs /tmp
	mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
	ln -sf /proc/self/fd /dev/fd
}

load_modules() {
	for module in /modules/*.ko; do
		[ -e "$module" ] || continue
		why=$(insmod "$module" 2>&1) || give_up "insmod ${module##*/}: $why"
	done
	mount -t configfs configfs $CONFIG || give_up "no configfs"
}

start_network() {
	ip link set lo up
	[ -e /conf/console.json ] || [ -e /conf/alone ] && return
	tries=0
	interface=eth0 # vec0 is that of User-Mode Linux
	until [ -e /sys/class/net/$interface ]; do
		[ -e /sys/class/net/vec0 ] && interface=vec0 && continue
		tries=$((tries + 1))
		[ $tries -gt 50 ] && give_up "no network interface"
		sleep 0.1
	done
	ip addr add 10.0.2.15/24 dev $interface
	ip link set $interface up
}

load_psks() {
	for identity in /conf/psk/*.identity; do
		[ -e "$identity" ] || continue
		psk=${identity%.identity}
		keyctl padd psk "$(cat "$identity")" %:.nvme <"$psk.key" >/dev/null ||
			say "REJECTED $(cat "$psk.name") psk"
	done
	rm -rf /conf/psk
}

# The kernel asks tlshd by a netlink multicast; a handshake before it listens would just fail.
start_tlshd() {
	# GnuTLS writes the secrets of every session there; only captures of the guest ask for it.
	[ -e /conf/keylog ] && export SSLKEYLOGFILE=/run/keylog
	LD_PRELOAD=/usr/lib/tlshd_shim.so tlshd -s -c /conf/tlshd.conf >/run/tlshd.log 2>&1 &
	tlshd=$!
	tries=0
	until awk '$2 == 16 && $4 !~ /^0+$/ { found = 1 } END { exit !found }' /proc/net/netlink; do
		tries=$((tries + 1))
		kill -0 $tlshd 2>/dev/null || give_up "tlshd died: $(tail -n 1 /run/tlshd.log)"
		[ $tries -gt 50 ] && give_up "tlshd does not listen"
		sleep 0.1
	done
}

# The kernel looks once in so many seconds, by default as seldom as it takes to call a task hung.
watch_tasks() {
	hung=/proc/sys/kernel/hung_task_timeout_secs
	[ -e $hung ] && cat /conf/hung_task_seconds >$hung
	hung=/proc/sys/kernel/hung_task_check_interval_secs
	[ -e $hung ] && echo 5 >$hung
}

# One line in: number, seconds, shell script in base64. Out: number, exit status, output in base64.
# User-Mode Linux has no virtio port; its serial line neither loses octets nor has a wire.
obey() {
	port=$(sed -n 's/.*nvme_conform\.control=\([^ ]*\).*/\1/p' /proc/cmdline)
	for name in /sys/class/virtio-ports/*/name; do
		[ "$(cat "$name" 2>/dev/null)" = control ] && port=$(basename "${name%/name}")
	done
	[ -c "/dev/$port" ] || give_up "no control port"
	exec 3<>"/dev/$port"
	[ -t 3 ] && stty raw -echo <&3
	say "READY $(uname -r) taint $(cat /proc/sys/kernel/tainted)"
	while read -r number seconds script <&3; do
		echo "$script" | base64 -d >/run/step.sh
		timeout -k 2 "$seconds" sh /run/step.sh >/run/step.out 2>&1 </dev/null 3<&-
		status=$?
		say "STEP $number status $status"
		echo "$number $status $(base64 -w 0 </run/step.out)" >&3
	done
	poweroff -f
}

# The suite runs in here, against loopback, and prints KTAP; harness/vm/console.py made the files. With nvme_conform.shell on
# the kernel's command line an engine such as LAVA gets a shell instead, and starts it when it likes.
serve_console() {
	printf '#!/bin/sh\ncd /nvme-conform && exec python3 -m harness.vm.inside "$@"\n' >/usr/bin/nvme-conform-console
	chmod 755 /usr/bin/nvme-conform-console
	say "READY $(uname -r) taint $(cat /proc/sys/kernel/tainted)"
	if grep -q nvme_conform.shell /proc/cmdline; then
		while :; do
			PS1='nvme-conform# ' sh -i </dev/console >/dev/console 2>&1
		done
	fi
	nvme-conform-console </dev/null >/dev/console 2>&1
	say "CONSOLE status $?"
	poweroff -f
}

mount_file_systems
if [ "$1" = probe ] || grep -q nvme_conform.probe /proc/cmdline; then
	say PROBED
	poweroff -f
fi
load_modules
start_network
load_psks
start_tlshd
watch_tasks
# shellcheck source=/dev/null
[ -e /conf/setup.sh ] && . /conf/setup.sh
[ -e /conf/console.json ] && serve_console
obey
