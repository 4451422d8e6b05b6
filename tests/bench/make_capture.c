/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes a capture of a given size for the bench of replay, the same at each call: hosts connect, authenticate (every second
 * one with a DH group, every fourth in both directions) and read blocks of 512 and of 4096 bytes, many at the same time.
 *
 *     make_capture FILE MEGABYTES CONNECTIONS-AT-ONCE
 *
 * With 0 megabytes every connection is opened and authenticated and none reads or ends.
 */
#include <stdio.h>

#include <check.h>
#include <stdlib.h>

#include "capture/pcapng.h"
#include "capture/tcpframe.h"

/* Those of Check want a test that runs. */
#undef ck_assert_int_eq
#undef ck_assert_uint_eq
#undef ck_assert_uint_lt
#define ck_assert_int_eq(a, b)	((a) == (b) ? (void)0 : abort())
#define ck_assert_uint_eq(a, b) ((a) == (b) ? (void)0 : abort())
#define ck_assert_uint_lt(a, b) ((a) < (b) ? (void)0 : abort())
#include "tests/unit/observer_talk.h"

enum {
	READS = 64, /* of one connection */
	MAX_AT_ONCE = 16000,
	FLUSH = 1 << 20,
	MICROSECOND = 1000,
	C1_AT = NVC_PDU_DATA_HLEN + 16,
	S1_AT = NVC_PDU_DATA_HLEN + 12,
	HL_AT = 6, /* these of the message */
	CVALID_AT = 8,
	S2_AT = 12,
	C2_AT = 16, /* and HL more */
	READ_OPCODE = 2,
};

struct flow {
	struct nvc_tcpframe frames;
	uint16_t cid;
	unsigned int reads; /* that are still to come */
};

static struct {
	FILE *file;
	struct nvc_pcapng out;
	uint64_t written, time;
	uint32_t num_flows;
} made;

static void flush(void)
{
	if (fwrite(made.out.data, made.out.len, 1, made.file) != 1)
		perror("make_capture");
	made.written += made.out.len;
	made.out.len = 0;
}

static void put(
	struct flow *flow, enum nvc_direction direction, unsigned int flags, struct nvc_slice bytes)
{
	uint8_t frame[NVC_TCPFRAME_MAX];

	do {
		const size_t len = nvc_tcpframe_make(&flow->frames, direction, flags, bytes, frame);

		made.time += MICROSECOND;
		nvc_pcapng_packet(&made.out, made.time, nvc_slice_of(frame, len), NULL, 0);
		bytes = nvc_slice_sub(bytes, NVC_TCPFRAME_SEGMENT, bytes.len);
	} while (bytes.len);
	if (made.out.len > FLUSH)
		flush();
}

/* What a host of its own says: no C1, S1, C2 and S2 comes twice. */
static void put_talk(struct flow *flow, struct talk *talk, uint32_t number)
{
	uint8_t *challenge = talk->bytes + talk->start[CHALLENGE];
	uint8_t *reply = talk->bytes + talk->start[REPLY] + NVC_PDU_CMD_HLEN;

	nvc_put_le(challenge + S1_AT, number + 1, 4);
	nvc_put_le(challenge + C1_AT, number, 4);
	if (reply[CVALID_AT]) {
		nvc_put_le(reply + S2_AT, number + 1, 4);
		nvc_put_le(reply + C2_AT + reply[HL_AT], number + 1, 4);
	}
	for (size_t i = 0; i < talk->num; i++)
		put(flow, talk->direction[i], NVC_TCP_ACK | NVC_TCP_PSH,
			nvc_slice_of(
				talk->bytes + talk->start[i], talk->start[i + 1] - talk->start[i]));
}

static void begin_flow(struct flow *flow)
{
	static struct talk talk;
	const uint32_t number = made.num_flows++;
	const struct plan plan = {
		.dhgid = number % 2 ? NVC_DH_2048 : NVC_DH_NULL, .two_way = number % 4 == 3};

	*flow = (struct flow){.reads = READS,
		.frames = {.ends = {.address = {{10, (uint8_t)(number >> 16),
							(uint8_t)(number >> 8), (uint8_t)number},
					    {192, 0, 2, 2}},
				   .port = {(uint16_t)(49152 + number % 16384), 4420}},
			.next = {number * 7919, number * 104729}}};
	put(flow, NVC_H2C, NVC_TCP_SYN, nvc_slice_of(NULL, 0));
	put(flow, NVC_C2H, NVC_TCP_SYN | NVC_TCP_ACK, nvc_slice_of(NULL, 0));
	put(flow, NVC_H2C, NVC_TCP_ACK, nvc_slice_of(NULL, 0));
	converse(&talk, &plan);
	put_talk(flow, &talk, number);
	flow->cid = talk.cid;
}

static void end_flow(struct flow *flow)
{
	put(flow, NVC_H2C, NVC_TCP_FIN | NVC_TCP_ACK, nvc_slice_of(NULL, 0));
	put(flow, NVC_C2H, NVC_TCP_FIN | NVC_TCP_ACK, nvc_slice_of(NULL, 0));
}

static void read_block(struct flow *flow)
{
	static struct talk talk;
	static uint8_t block[4096];
	const size_t len = flow->reads % 2 ? 512 : sizeof(block);
	struct nvc_cmd_nvme command = {.head = {.opc = READ_OPCODE}};

	memset(&talk, 0, offsetof(struct talk, start));
	talk.num = 0;
	talk.len = 0;
	talk.cid = flow->cid;
	command.head = head(&talk, READ_OPCODE, NVC_SGL_TRANSPORT, (uint32_t)len);
	say_command(&talk, &nvc_cmd_nvme_layout, &command, nvc_slice_of(NULL, 0));
	say_data(&talk, nvc_slice_of(block, len), 0, true);
	say_response(&talk, NVC_SC_SUCCESS, 0);
	flow->cid = talk.cid;
	for (size_t i = 0; i < talk.num; i++)
		put(flow, talk.direction[i], NVC_TCP_ACK | NVC_TCP_PSH,
			nvc_slice_of(
				talk.bytes + talk.start[i], talk.start[i + 1] - talk.start[i]));
	put(flow, NVC_H2C, NVC_TCP_ACK, nvc_slice_of(NULL, 0));
	flow->reads--;
}

int main(int argc, char **argv)
{
	const uint64_t size = argc == 4 ? strtoull(argv[2], NULL, 10) << 20 : 0;
	const size_t num = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
	struct flow *flows = calloc(MAX_AT_ONCE, sizeof(*flows));

	made.file = num && num <= MAX_AT_ONCE && flows ? fopen(argv[1], "wb") : NULL;
	if (!made.file) {
		fprintf(stderr, "usage: make_capture FILE MEGABYTES CONNECTIONS-AT-ONCE\n");
		free(flows);
		return 2;
	}
	nvc_pcapng_init(&made.out, (size_t)FLUSH * 4);
	nvc_pcapng_section(&made.out, "make_capture", "the bench of replay");
	nvc_pcapng_interface(&made.out, NVC_LINK_ETHERNET, "bench");
	for (size_t i = 0; i < num; i++)
		begin_flow(&flows[i]);
	for (size_t i = 0; made.written < size; i = (i + 1) % num) {
		if (!flows[i].reads) {
			end_flow(&flows[i]);
			begin_flow(&flows[i]);
		}
		read_block(&flows[i]);
	}
	for (size_t i = 0; size && i < num; i++)
		end_flow(&flows[i]);
	flush();
	nvc_pcapng_fini(&made.out);
	free(flows);
	return fclose(made.file) == 0 ? 0 : 1;
}
