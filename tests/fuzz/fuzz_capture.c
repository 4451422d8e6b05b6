/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Captures as untrusted input, from the file to the verdict. Input: a pcap or pcapng; or 'T' and then chunks for the TLS
 * record layer (a byte for the side, two bytes of length, the bytes), whose key log knows the random of 32 times 'r'.
 */
#include "capture/replay.h"
#include "capture/tls13.h"
#include "fuzz_main.h"

enum { MAX_TEXT = 1024 };

struct seen {
	unsigned int pdus, violations, unjudged;
	uint64_t frame;
};

static void on_event(void *self, const struct nvc_replay_event *event)
{
	struct seen *seen = self;

	FUZZ_CHECK(event->text != NULL && strlen(event->text) < MAX_TEXT);
	/* What is told of an earlier packet: a doubt that was settled, a handshake that brought nothing. */
	FUZZ_CHECK(event->frame >= seen->frame || event->kind == NVC_REPLAY_VIOLATION ||
		   event->kind == NVC_REPLAY_NOTE);
	if (event->frame > seen->frame)
		seen->frame = event->frame;
	seen->pdus += event->kind == NVC_REPLAY_PDU;
	seen->unjudged += event->kind == NVC_REPLAY_UNJUDGED;
	if (event->kind != NVC_REPLAY_VIOLATION)
		return;
	FUZZ_CHECK(event->frame > 0 && event->req > REQ_NONE && event->req < NUM_REQS);
	seen->violations++;
}

static void fuzz_file(const uint8_t *data, size_t size)
{
	struct seen seen = {0};
	const struct nvc_replay_sink sink = {&seen, on_event};
	static const struct nvc_dhchap_key key = {.hash_id = NVC_HASH_SHA256, .secret.len = 32};
	static const struct nvc_tls_key psk = {.hash_id = NVC_HASH_SHA256, .psk.len = 32};
	const struct nvc_replay_identity identity = {
		.host_key = &key, .ctrl_key = &key, .psk = &psk};
	const struct nvc_replay_options options = {.identities = &identity, .num_identities = 1};
	static struct nvc_replay_result result;
	struct nvc_error err = {0};
	FILE *in = fmemopen((void *)(uintptr_t)data, size, "rb");

	if (!in)
		return;
	if (nvc_replay(in, &options, &sink, &result, &err) != NVC_OK) {
		FUZZ_CHECK(err.text[0]);
		return;
	}
	FUZZ_CHECK(result.pdus == seen.pdus);
	FUZZ_CHECK(result.verdict != NVC_REPLAY_CLEAN ||
		   (result.nvme > 0 && !seen.unjudged && !result.violated));
	FUZZ_CHECK(result.verdict != NVC_REPLAY_VIOLATED || seen.violations > 0);
	FUZZ_CHECK(result.verdict != NVC_REPLAY_CANNOT_JUDGE || result.reason[0]);
}

static void on_bytes(void *self, int side, struct nvc_slice bytes)
{
	(void)self;
	FUZZ_CHECK((side == 0 || side == 1) && bytes.len > 0 && bytes.len <= 16384 + 256);
}

static void on_alert(void *self, int side, uint8_t description)
{
	(void)self;
	(void)description;
	FUZZ_CHECK(side == 0 || side == 1);
}

static void fuzz_tls(const uint8_t *data, size_t size)
{
#define RANDOM "7272727272727272727272727272727272727272727272727272727272727272"
	static const char log[] = "CLIENT_TRAFFIC_SECRET_0 " RANDOM " " RANDOM "\n"
				  "SERVER_TRAFFIC_SECRET_0 " RANDOM " " RANDOM "\n";
	const struct nvc_tls13_sink sink = {.bytes = on_bytes, .alert = on_alert};
	struct nvc_keylog *keylog = nvc_keylog_new();
	struct nvc_tls13 *tls = keylog ? nvc_tls13_new(keylog, &sink) : NULL;
	struct nvc_reader reader = nvc_reader_of(nvc_slice_of(data, size));

	if (tls) {
		FUZZ_CHECK(nvc_keylog_add(keylog, nvc_slice_str(log)) == 2);
		nvc_keylog_add(keylog, nvc_slice_of(data, size));
		while (nvc_read_left(&reader) > 3) {
			const int side = (int)nvc_read_le(&reader, 1) & 1;
			size_t len = (size_t)nvc_read_le(&reader, 2);

			if (len > nvc_read_left(&reader))
				len = nvc_read_left(&reader);
			nvc_tls13_feed(tls, side, nvc_read_bytes(&reader, len));
		}
		nvc_tls13_finish(tls);
	}
	nvc_tls13_free(tls);
	nvc_keylog_free(keylog);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] == 'T')
		fuzz_tls(data + 1, size - 1);
	else
		fuzz_file(data, size);
	return 0;
}
