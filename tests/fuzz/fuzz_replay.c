/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All of replay behind TCP, and the script of re-enacting: connections, TLS with the secrets of a key log, exchanges that are verified,
 * associations, and what the host did. Input: two bytes of length and a key log; then chunks, which become the packets of a capture: a
 * byte (1: of the host, 2: ends the side, 4: resets, 8 and up: the connection), two bytes of length, the bytes.
 */
#include "capture/recorder.h"
#include "capture/script.h"
#include "fuzz_main.h"

enum {
	OF_HOST = 1,
	ENDS = 2,
	RESETS = 4,
	CONN_SHIFT = 3,
	MAX_CONNS = 32,
	RECORDER_SIZE = 1 << 20,
	FILE_SIZE = 1 << 22,
	STEP_NS = 1000000,
};

static void take_chunk(struct nvc_recorder *recorder, bool opened[MAX_CONNS],
	struct nvc_reader *reader, uint64_t time)
{
	const unsigned int flags = (unsigned int)nvc_read_le(reader, 1);
	const uint32_t conn = flags >> CONN_SHIFT;
	size_t len = (size_t)nvc_read_le(reader, 2);
	const struct nvc_tcp_ends ends = {.address = {{192, 0, 2, 1}, {192, 0, 2, 2}},
		.port = {(uint16_t)(50000 + conn), 4420}};

	if (len > nvc_read_left(reader))
		len = nvc_read_left(reader);
	if (!opened[conn])
		nvc_recorder_opened(recorder, conn, &ends, time);
	opened[conn] = true;
	nvc_recorder_bytes(recorder, conn, flags & OF_HOST, nvc_read_bytes(reader, len), time);
	if (flags & ENDS)
		nvc_recorder_ended(recorder, conn, flags & OF_HOST, flags & RESETS, time);
}

static bool draw(struct nvc_reader *reader, struct nvc_pcapng *file)
{
	static uint8_t memory[RECORDER_SIZE] __attribute__((aligned(16)));
	struct nvc_recorder *recorder = nvc_recorder_over(memory, sizeof(memory));
	const struct nvc_recorder_about about = {.application = "fuzz_replay"};
	bool opened[MAX_CONNS] = {false};
	uint64_t time = 0;
	enum nvc_result result;

	while (nvc_read_left(reader) > 3)
		take_chunk(recorder, opened, reader, time += STEP_NS);
	nvc_pcapng_init(file, FILE_SIZE);
	result = nvc_recorder_write(recorder, &about, file);
	nvc_recorder_wipe(recorder);
	return result == NVC_OK && file->len > 0;
}

static void check_step(const struct nvc_script *script, const struct nvc_script_step *step)
{
	const struct nvc_script_message *message = &step->message;
	const int num_transactions = (int)script->num_transactions;

	FUZZ_CHECK(step->conn < script->num_conns && step->text);
	FUZZ_CHECK(step->command >= -1 && step->command < (int)script->num_steps);
	FUZZ_CHECK(step->kind != NVC_SCRIPT_ANSWER || step->command >= 0);
	FUZZ_CHECK(step->transaction >= -1 && step->transaction < num_transactions);
	FUZZ_CHECK(message->transaction >= -1 && message->transaction < num_transactions);
	FUZZ_CHECK(message->t_id_of >= -1 && message->t_id_of < num_transactions + 1);
	FUZZ_CHECK(message->num_bends <= NVC_SCRIPT_MAX_BENDS);
}

static void check_script(const struct nvc_script *script)
{
	bool *seen = calloc(script->num_steps + 1, sizeof(*seen));

	FUZZ_CHECK(seen);
	for (size_t i = 0; i < script->num_steps; i++) {
		const size_t at = script->order[i];

		FUZZ_CHECK(at < script->num_steps && !seen[at]);
		seen[at] = true;
		check_step(script, &script->steps[i]);
	}
	free(seen);
	for (size_t i = 0; i < script->num_conns; i++) {
		const struct nvc_script_conn *conn = &script->conns[i];

		FUZZ_CHECK(conn->host >= -1 && conn->host < (int)script->num_hosts);
		FUZZ_CHECK(conn->psk_host >= -1 && conn->psk_host < (int)script->num_hosts);
		FUZZ_CHECK(conn->admin >= -1 && conn->admin < (int)script->num_conns);
		FUZZ_CHECK(conn->psk != NVC_PSK_OF ||
			   (conn->psk_of >= 0 && conn->psk_of < (int)script->num_transactions));
	}
	for (size_t i = 0; i < script->num_transactions; i++)
		FUZZ_CHECK(script->transactions[i].conn < script->num_conns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct nvc_dhchap_key key = {.hash_id = NVC_HASH_SHA256, .secret.len = 32};
	static const struct nvc_tls_key psk = {.hash_id = NVC_HASH_SHA256, .psk.len = 32};
	const struct nvc_replay_identity identity = {
		.host_key = &key, .ctrl_key = &key, .psk = &psk};
	struct nvc_replay_options options = {.identities = &identity, .num_identities = 1};
	struct nvc_reader reader = nvc_reader_of(nvc_slice_of(data, size));
	size_t len = size < 2 ? 0 : (size_t)nvc_read_le(&reader, 2);
	static struct nvc_script script;
	struct nvc_pcapng file;
	struct nvc_error err = {0};

	if (size < 2)
		return 0;
	if (len > nvc_read_left(&reader))
		len = nvc_read_left(&reader);
	options.keylog = nvc_read_bytes(&reader, len);
	if (draw(&reader, &file)) {
		FILE *in = fmemopen(file.data, file.len, "rb");

		if (in && nvc_script_read(in, &options, &script, &err) == NVC_OK) {
			FUZZ_CHECK(script.result.verdict != NVC_REPLAY_CLEAN ||
				   (script.result.nvme > 0 && !script.result.violated));
			check_script(&script);
			nvc_script_free(&script);
		} else if (in) {
			FUZZ_CHECK(err.text[0]);
		}
	}
	nvc_pcapng_fini(&file);
	return 0;
}
