/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The observer under hostile bytes of both sides. Input: one byte of options (bit 0 TLS), then chunks of
 * one byte of direction and connection (bit 0 host to controller, bit 1 connection), two bytes of length and the bytes.
 * The same chunks cut into single bytes must give the same violations.
 */
#include "fuzz_main.h"
#include "observer/observer.h"

enum { CHUNK_HEAD = 3 };

/* Nanoseconds; nothing is open then behind AUTH_Failure1. */
#define LONG_AFTER UINT64_C(60000000000)

struct tally {
	unsigned int violations[NUM_REQS];
	unsigned int packets;
};

static void count_violation(void *self, enum req_id req, const char *expected, const char *seen,
	unsigned int packet, unsigned int conn)
{
	struct tally *tally = self;

	FUZZ_CHECK(req > REQ_NONE && req < NUM_REQS);
	FUZZ_CHECK(expected[0] && seen[0]);
	FUZZ_CHECK(packet > 0 && packet <= tally->packets + 1 && conn < 2);
	tally->violations[req]++;
}

static void count_packet(void *self, const struct nvc_observed_packet *packet)
{
	struct tally *tally = self;

	FUZZ_CHECK(packet->text != NULL && strlen(packet->text) < 1024);
	if (packet->kind == NVC_OBSERVED_PDU) {
		FUZZ_CHECK(packet->packet == tally->packets + 1 && packet->bytes.len >= 8);
		tally->packets++;
	}
}

static void show(struct nvc_observer *observer, unsigned int conn, bool h2c, struct nvc_slice bytes,
	bool bytewise)
{
	if (!bytewise) {
		nvc_observer_bytes(observer, conn, h2c, bytes, 0);
		return;
	}
	for (size_t i = 0; i < bytes.len; i++)
		nvc_observer_bytes(observer, conn, h2c, nvc_slice_sub(bytes, i, 1), 0);
}

static void observe(const uint8_t *data, size_t size, bool bytewise, struct tally *tally)
{
	struct nvc_observer_sink sink = {
		.self = tally, .violation = count_violation, .packet = count_packet};
	struct nvc_observer *observer = nvc_observer_new(&sink, NVC_JUDGE_BOTH);
	struct nvc_reader reader = nvc_reader_of(nvc_slice_of(data, size));
	bool tls = nvc_read_le(&reader, 1) & 1;

	if (!observer)
		return;
	for (unsigned int conn = 0; conn < 2; conn++)
		FUZZ_CHECK(nvc_observer_open(observer, conn, tls, 0, "fuzz") == NVC_OK);
	while (nvc_read_left(&reader) > CHUNK_HEAD) {
		uint8_t what = (uint8_t)nvc_read_le(&reader, 1);
		size_t len = (size_t)nvc_read_le(&reader, 2);

		if (len > nvc_read_left(&reader))
			len = nvc_read_left(&reader);
		show(observer, what >> 1 & 1, what & 1, nvc_read_bytes(&reader, len), bytewise);
	}
	FUZZ_CHECK(nvc_observer_packets(observer) == tally->packets);
	nvc_observer_waited(observer, 0, LONG_AFTER);
	nvc_observer_end(observer, 0, true, "FIN", LONG_AFTER);
	nvc_observer_waited(observer, 0, LONG_AFTER);
	nvc_observer_end(observer, 0, false, "RST", LONG_AFTER);
	nvc_observer_free(observer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tally whole, bytewise;

	memset(&whole, 0, sizeof(whole));
	memset(&bytewise, 0, sizeof(bytewise));
	observe(data, size, false, &whole);
	observe(data, size, true, &bytewise);
	FUZZ_CHECK(memcmp(&whole, &bytewise, sizeof(whole)) == 0);
	return 0;
}
