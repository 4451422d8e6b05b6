/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/live.h"

#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture/frame.h"

enum {
	SNAP_LEN = 262144,
	KERNEL_BUFFER = 32 << 20,
	HAND_OVER_MS = 10, /* after which the kernel gives what it has */
	QUIET_MS = 40,	   /* more than that, so that silence means something */
	SETTLE_MS = 320,
	ALIGNMENT = 8,
};

struct taken {
	uint64_t time, frame;
	uint32_t len, wire_len;
};

struct nvc_live {
	pcap_t *pcap;
	int link;
	uint8_t *bytes;
	size_t len, limit;
	uint64_t frame;
	unsigned int beyond;	/* packets that did not fit */
	unsigned int forgotten; /* what the kernel had dropped before */
};

static size_t size_of(size_t len)
{
	return (sizeof(struct taken) + len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void on_packet(u_char *self, const struct pcap_pkthdr *header, const u_char *data)
{
	struct nvc_live *live = (struct nvc_live *)(void *)self;
	struct taken head = {.time = (uint64_t)header->ts.tv_sec * 1000000000u +
				     (uint64_t)header->ts.tv_usec, /* nanoseconds, as asked for */
		.len = header->caplen,
		.wire_len = header->len};

	if (size_of(head.len) > live->limit - live->len) {
		live->beyond++;
	} else {
		head.frame = ++live->frame;
		memcpy(live->bytes + live->len, &head, sizeof(head));
		memcpy(live->bytes + live->len + sizeof(head), data, head.len);
		live->len += size_of(head.len);
	}
}

/* Takes what the kernel has by now; its buffer holds more than a case sends. */
static void take(struct nvc_live *live)
{
	while (pcap_dispatch(live->pcap, -1, on_packet, (u_char *)live) > 0)
		;
}

/* ---- opening ---- */

static enum nvc_result refuse(
	const char *interface, int status, const struct nvc_live *live, struct nvc_error *err)
{
	switch (status) {
	case PCAP_ERROR_PERM_DENIED:
		return nvc_fail(err, NVC_E_INVALID,
			"interface %s: capturing is not permitted; it takes root, or CAP_NET_RAW "
			"for the engine",
			interface);
	case PCAP_ERROR_NO_SUCH_DEVICE:
		return nvc_fail(err, NVC_E_INVALID, "no interface is named '%s'", interface);
	case PCAP_ERROR_IFACE_NOT_UP:
		return nvc_fail(err, NVC_E_INVALID, "interface %s is not up", interface);
	default:
		return nvc_fail(err, NVC_E_INVALID, "interface %s: %s", interface,
			status == PCAP_ERROR ? pcap_geterr(live->pcap) : pcap_statustostr(status));
	}
}

static enum nvc_result activate(struct nvc_live *live, const char *interface, struct nvc_error *err)
{
	int status;

	/* Not in immediate mode: in that the kernel's buffer has room for some large packets only. */
	pcap_set_snaplen(live->pcap, SNAP_LEN);
	pcap_set_buffer_size(live->pcap, KERNEL_BUFFER);
	pcap_set_timeout(live->pcap, HAND_OVER_MS);
	pcap_set_tstamp_precision(live->pcap, PCAP_TSTAMP_PRECISION_NANO);
	status = pcap_activate(live->pcap);
	if (status < 0)
		return refuse(interface, status, live, err);
	live->link = pcap_datalink(live->pcap);
	if (pcap_get_tstamp_precision(live->pcap) != PCAP_TSTAMP_PRECISION_NANO ||
		!nvc_frame_link_known(live->link))
		return nvc_fail(err, NVC_E_INVALID,
			"interface %s has link type %d, which is not understood", interface,
			live->link);
	return NVC_OK;
}

static enum nvc_result set_filter(struct nvc_live *live, const char *filter, struct nvc_error *err)
{
	struct bpf_program program;
	int status = pcap_compile(live->pcap, &program, filter, 1, PCAP_NETMASK_UNKNOWN);

	if (status == 0) {
		status = pcap_setfilter(live->pcap, &program);
		pcap_freecode(&program);
	}
	return status == 0 ? NVC_OK
			   : nvc_fail(err, NVC_E_INVALID, "filter '%s': %s", filter,
				     pcap_geterr(live->pcap));
}

struct nvc_live *nvc_live_open(
	const char *interface, const char *filter, size_t limit, struct nvc_error *err)
{
	char why[PCAP_ERRBUF_SIZE] = "";
	struct nvc_live *live = calloc(1, sizeof(*live));
	enum nvc_result result;

	if (!live) {
		nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a live capture");
		return NULL;
	}
	live->limit = limit;
	live->bytes = malloc(limit);
	live->pcap = pcap_create(interface, why);
	if (!live->bytes || !live->pcap)
		result = nvc_fail(err, NVC_E_NO_MEMORY, "interface %s: %s", interface,
			live->bytes ? why : "no memory");
	else
		result = activate(live, interface, err);
	if (result == NVC_OK)
		result = set_filter(live, filter, err);
	if (result == NVC_OK && pcap_setnonblock(live->pcap, 1, why) != 0)
		result = nvc_fail(err, NVC_E_SYSTEM, "interface %s: %s", interface, why);
	if (result == NVC_OK)
		return live;
	nvc_live_close(live);
	return NULL;
}

void nvc_live_close(struct nvc_live *live)
{
	if (!live)
		return;
	if (live->pcap)
		pcap_close(live->pcap);
	free(live->bytes);
	free(live);
}

/* ---- what was taken ---- */

int nvc_live_link(const struct nvc_live *live)
{
	return live->link;
}

static unsigned int dropped(struct nvc_live *live)
{
	struct pcap_stat counts = {0};

	return pcap_stats(live->pcap, &counts) == 0 ? counts.ps_drop : 0;
}

void nvc_live_forget(struct nvc_live *live)
{
	take(live);
	live->len = 0;
	live->frame = 0;
	live->beyond = 0;
	live->forgotten = dropped(live);
}

static uint64_t taken_so_far(struct nvc_live *live)
{
	take(live);
	return live->frame + live->beyond;
}

void nvc_live_settle(struct nvc_live *live)
{
	const struct timespec moment = {.tv_nsec = QUIET_MS * 1000000L};
	uint64_t before, now = taken_so_far(live);

	for (int ms = 0; ms < SETTLE_MS; ms += QUIET_MS) {
		before = now;
		nanosleep(&moment, NULL);
		now = taken_so_far(live);
		if (now == before)
			return;
	}
}

bool nvc_live_next(struct nvc_live *live, size_t *at, struct nvc_packet *packet)
{
	struct taken head;

	if (*at >= live->len)
		return false;
	memcpy(&head, live->bytes + *at, sizeof(head));
	*packet = (struct nvc_packet){.frame = head.frame,
		.time = head.time,
		.data = nvc_slice_of(live->bytes + *at + sizeof(head), head.len),
		.wire_len = head.wire_len};
	*at += size_of(head.len);
	return true;
}

unsigned int nvc_live_lost(struct nvc_live *live)
{
	return live->beyond + dropped(live) - live->forgotten;
}
