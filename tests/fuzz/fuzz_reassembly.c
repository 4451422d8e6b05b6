/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP reassembly under hostile segments. Input: segments of 8 bytes: connection and side, flags, where it begins relative to
 * the side's first byte (2, signed), the same of what it acknowledges (2, signed), its length (1, times 8), and how much of it
 * the snap length cut off (1). A byte is its sequence number, so that in what is told each must be one more than the byte
 * before, from whichever segments it was put together.
 */
#include "capture/reassembly.h"
#include "fuzz_main.h"

enum { SEGMENT_HEAD = 8, NUM_CONNS = 4, FIRST_PORT = 1000, LONGEST = 255 * 8, MAX_TOLD = 4096 };

struct told {
	bool opened, began, gap, ended;
	uint8_t next;
};

struct world {
	struct told sides[MAX_TOLD][2];
	size_t num, closed;
};

static void on_opened(void *self, struct nvc_tcp_conn *conn)
{
	struct world *world = self;

	conn->user = world->sides[world->num++ % MAX_TOLD];
	memset(conn->user, 0, sizeof(world->sides[0]));
	((struct told *)conn->user)->opened = true;
}

static void on_bytes(void *self, struct nvc_tcp_conn *conn, int side, struct nvc_slice bytes)
{
	struct told *told = (struct told *)conn->user + side;

	(void)self;
	FUZZ_CHECK(bytes.len > 0 && bytes.len <= LONGEST && !told->gap && !told->ended);
	if (!told->began)
		told->next = bytes.data[0];
	told->began = true;
	for (size_t i = 0; i < bytes.len; i++)
		FUZZ_CHECK(bytes.data[i] == told->next++);
}

static void on_gap(void *self, struct nvc_tcp_conn *conn, int side, const char *why)
{
	struct told *told = (struct told *)conn->user + side;

	(void)self;
	FUZZ_CHECK(why[0] && !told->gap && !told->ended);
	told->gap = true;
}

static void on_ended(void *self, struct nvc_tcp_conn *conn, int side, bool reset)
{
	struct told *told = (struct told *)conn->user + side;

	(void)self;
	(void)reset;
	FUZZ_CHECK(!told->ended);
	told->ended = true;
}

/* A FIN may be anywhere, so that bytes behind it are no wonder. */
static void on_contradicted(void *self, struct nvc_tcp_conn *conn)
{
	(void)conn;
	FUZZ_CHECK(((struct world *)self)->num > 0);
}

static void on_closed(void *self, struct nvc_tcp_conn *conn)
{
	struct told *told = conn->user;

	FUZZ_CHECK(told->opened);
	told->opened = false;
	((struct world *)self)->closed++;
}

/* Sequence numbers begin just before they wrap. */
static uint32_t first_of(unsigned int conn, int side)
{
	return UINT32_C(0xffffff00) + conn * 64 + (uint32_t)side * 16;
}

static uint32_t read_distance(struct nvc_reader *in)
{
	const uint32_t value = (uint32_t)nvc_read_le(in, 2);

	return value < 0x8000 ? value : value - 0x10000;
}

static void take(struct nvc_reassembly *reassembly, struct nvc_reader *in)
{
	uint8_t payload[LONGEST];
	const uint8_t who = (uint8_t)nvc_read_le(in, 1);
	const unsigned int conn = who % NUM_CONNS;
	const int side = who >> 2 & 1;
	struct nvc_segment segment = {.flags = (uint8_t)nvc_read_le(in, 1)};
	size_t len;

	segment.seq = first_of(conn, side) + read_distance(in);
	segment.ack = first_of(conn, !side) + read_distance(in);
	len = (size_t)nvc_read_le(in, 1) * 8;
	segment.missing = (size_t)nvc_read_le(in, 1);
	if (segment.missing > len)
		segment.missing = len;
	segment.ends.port[side] = (uint16_t)(FIRST_PORT + conn);
	segment.ends.port[!side] = 4420;
	segment.ends.address[!side][0] = 1;
	for (size_t i = 0; i < len; i++)
		payload[i] = (uint8_t)(segment.seq + (segment.flags & NVC_TCP_SYN ? 1 : 0) + i);
	/* In `ends` the sender comes first. */
	if (side) {
		const struct nvc_tcp_ends ends = segment.ends;

		for (int i = 0; i < 2; i++) {
			segment.ends.port[i] = ends.port[!i];
			segment.ends.address[i][0] = ends.address[!i][0];
		}
	}
	segment.payload = nvc_slice_of(payload, len - segment.missing);
	FUZZ_CHECK(nvc_reassembly_segment(reassembly, &segment) == NVC_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world world;
	const struct nvc_reassembly_sink sink = {
		&world, on_opened, on_bytes, on_gap, on_ended, on_contradicted, on_closed};
	struct nvc_reader in = nvc_reader_of(nvc_slice_of(data, size));
	struct nvc_reassembly *reassembly;

	if (size > (size_t)MAX_TOLD * SEGMENT_HEAD)
		return 0;
	memset(&world, 0, sizeof(world));
	reassembly = nvc_reassembly_new(&sink);
	if (!reassembly)
		return 0;
	while (nvc_read_left(&in) >= SEGMENT_HEAD)
		take(reassembly, &in);
	nvc_reassembly_free(reassembly);
	FUZZ_CHECK(world.closed == world.num);
	return 0;
}
