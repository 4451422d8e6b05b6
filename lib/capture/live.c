/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/live.h"

#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture/interface.h"

enum {
	HAND_OVER_MS = 2, /* after which the kernel gives what it has */
	STEP_MS = 1,
	QUIET_MS = 40, /* much more than that, so that silence means something */
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

struct nvc_live *nvc_live_open(
	const char *interface, const char *filter, size_t limit, struct nvc_error *err)
{
	struct nvc_live *live = calloc(1, sizeof(*live));
	enum nvc_result result;

	if (!live) {
		nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a live capture");
		return NULL;
	}
	live->limit = limit;
	live->bytes = malloc(limit);
	if (live->bytes)
		result = nvc_interface_open(interface, HAND_OVER_MS, &live->pcap, err);
	else
		result = nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a live capture");
	if (result == NVC_OK)
		result = nvc_interface_filter(live->pcap, filter, err);
	if (result == NVC_OK) {
		live->link = pcap_datalink(live->pcap);
		return live;
	}
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

void nvc_live_settle(struct nvc_live *live, bool (*whole)(void *self), void *self)
{
	const struct timespec moment = {.tv_nsec = STEP_MS * 1000000L};
	uint64_t before = 0;

	for (int ms = 0, quiet = 0; ms < SETTLE_MS && quiet < QUIET_MS; ms += STEP_MS) {
		const uint64_t now = taken_so_far(live);

		if (whole(self))
			return;
		quiet = now == before ? quiet + STEP_MS : 0;
		before = now;
		nanosleep(&moment, NULL);
	}
	take(live);
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
