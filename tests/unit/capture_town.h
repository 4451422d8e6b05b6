/* SPDX-License-Identifier: BSD-3-Clause */
/* What a host and the reference target say to one another, written as a capture. */
#ifndef NVC_TESTS_CAPTURE_TOWN_H
#define NVC_TESTS_CAPTURE_TOWN_H

#include "capture_frames.h"
#include "target_town.h"

static struct town town;
static struct nvc_recorder *recorder;
static char keylog[1 << 16];

static void opened(void *self, uint32_t number, const struct nvc_stream *lowest,
	const struct nvc_address *to, uint64_t time)
{
	struct nvc_tcp_ends ends = {
		.address = {{192, 0, 2, 1}, {192, 0, 2, 2}}, .port = {(uint16_t)(50000 + number)}};

	(void)self;
	(void)lowest;
	ck_assert(nvc_port_parse(to->port, &ends.port[1]));
	nvc_recorder_opened(recorder, number, &ends, time);
}

static void bytes(void *self, uint32_t number, bool h2c, struct nvc_slice in, uint64_t time)
{
	(void)self;
	nvc_recorder_bytes(recorder, number, h2c, in, time);
}

static void ended(void *self, uint32_t number, bool h2c, enum nvc_end how, uint64_t time)
{
	(void)self;
	nvc_recorder_ended(recorder, number, h2c, how == NVC_END_RST, time);
}

static void secret(void *self, const char *line)
{
	(void)self;
	ck_assert_uint_lt(strlen(keylog) + strlen(line) + 2, sizeof(keylog));
	strcat(strcat(keylog, line), "\n");
	nvc_recorder_secret(recorder, line);
}

static inline void begin(const char *defect)
{
	town_init(&town, defect);
	keylog[0] = '\0';
	recorder = nvc_recorder_new(1 << 20);
	town.host.network = (struct nvc_host_network){NULL, opened, bytes, ended};
	town.host.keylog = secret;
}

static inline void finish(bool secrets, struct nvc_pcapng *out)
{
	const struct nvc_recorder_about about = {.application = "test", .secrets = secrets};

	nvc_pcapng_init(out, 1 << 22);
	ck_assert_int_eq(nvc_recorder_write(recorder, &about, out), NVC_OK);
	nvc_recorder_free(recorder);
	town_fini(&town);
}

#endif
