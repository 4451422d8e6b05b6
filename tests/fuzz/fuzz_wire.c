/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything in lib/wire that reads bytes of a peer. The first byte chooses a layout; values past the last layout take the
 * rest for a stream of PDUs under the mode of the second byte. What decodes must encode to something that decodes to the
 * same, and to the same bytes when no reserved field is set.
 */
#include "tests/fuzz/fuzz_main.h"
#include "tests/unit/wire_layouts.h"

enum { BUFFER_LEN = 80000, TEXT_LEN = 600, MAX_PLEN = 70000 };

static uint8_t first[BUFFER_LEN], second[BUFFER_LEN];

static void bend_something(
	const struct nvc_layout *layout, const void *message, struct nvc_slice in)
{
	struct nvc_writer writer = nvc_writer_over(second, sizeof(second));
	struct nvc_bend bend = {.bytes = nvc_slice_sub(in, 3, 5)};
	struct nvc_bends bends = {&bend, 1};

	if (in.len < 3)
		return;
	bend.kind = (enum nvc_bend_kind)(in.data[0] % 5);
	bend.field = layout->fields[in.data[1] % layout->num_fields].name;
	bend.value = in.data[2];
	nvc_encode(layout, message, &bends, &writer);
}

static void fuzz_layout(const struct nvc_layout *layout, bool gaps, struct nvc_slice in)
{
	struct nvc_writer one = nvc_writer_over(first, sizeof(first)),
			  two = nvc_writer_over(second, sizeof(second));
	union wire_message message;
	char text[TEXT_LEN];
	size_t num_read, again_read;
	bool clean = nvc_reserved_is_zero(layout, in, NULL) && !gaps;

	if (nvc_decode(layout, in, &message, &num_read, NULL) != NVC_OK)
		return;
	FUZZ_CHECK(num_read <= in.len);
	nvc_print(layout, &message, text, sizeof(text));
	FUZZ_CHECK(nvc_encode(layout, &message, NULL, &one) == NVC_OK);
	FUZZ_CHECK(one.len == num_read);
	FUZZ_CHECK(
		!clean || nvc_slice_equal(nvc_writer_slice(&one), nvc_slice_sub(in, 0, num_read)));
	FUZZ_CHECK(nvc_reserved_is_zero(layout, nvc_writer_slice(&one), NULL));
	FUZZ_CHECK(
		nvc_decode(layout, nvc_writer_slice(&one), &message, &again_read, NULL) == NVC_OK);
	FUZZ_CHECK(again_read == num_read);
	FUZZ_CHECK(nvc_encode(layout, &message, NULL, &two) == NVC_OK);
	FUZZ_CHECK(nvc_slice_equal(nvc_writer_slice(&one), nvc_writer_slice(&two)));
	bend_something(layout, &message, in);
}

/* What was decoded reads the same after encoding and decoding, digests then being right and PDO the smallest. */
static void fuzz_pdu(const struct nvc_pdu *pdu, const struct nvc_pdu_mode *mode)
{
	struct nvc_writer writer = nvc_writer_over(first, sizeof(first));
	struct nvc_pdu clean = *pdu, again;
	char before[TEXT_LEN], after[TEXT_LEN];
	enum nvc_result result = nvc_pdu_encode(pdu, mode, NULL, &writer);

	clean.hdgst_wrong = clean.ddgst_wrong = false;
	nvc_pdu_describe(&clean, before, sizeof(before));
	if (result == NVC_E_INVALID) { /* the alignment asks for a PDO past 255 */
		FUZZ_CHECK(mode->pda > 31 && pdu->data.len);
		return;
	}
	FUZZ_CHECK(result == NVC_OK && writer.len <= nvc_pdu_len(pdu));
	FUZZ_CHECK(nvc_pdu_decode(nvc_writer_slice(&writer), mode, &again, NULL) == NVC_OK);
	FUZZ_CHECK(!again.hdgst_wrong && !again.ddgst_wrong);
	FUZZ_CHECK(nvc_slice_equal(pdu->data, again.data));
	nvc_pdu_describe(&again, after, sizeof(after));
	FUZZ_CHECK(strcmp(before, after) == 0);
}

static void fuzz_stream_of_pdus(struct nvc_slice in)
{
	struct nvc_pdu_mode mode;
	struct nvc_pdu pdu;
	char text[TEXT_LEN];
	uint32_t fei;
	size_t plen;

	if (in.len == 0)
		return;
	mode = (struct nvc_pdu_mode){in.data[0] & 1, in.data[0] & 2, in.data[0] >> 2};
	nvc_auth_describe(nvc_slice_sub(in, 1, in.len), text, sizeof(text));
	for (in = nvc_slice_sub(in, 1, in.len); nvc_pdu_frame(in, MAX_PLEN, &plen) == NVC_OK;
		in = nvc_slice_sub(in, plen, in.len)) {
		enum nvc_result result =
			nvc_pdu_decode(nvc_slice_sub(in, 0, plen), &mode, &pdu, NULL);

		nvc_pdu_check(&pdu.ch, in.data[0] & 1 ? NVC_C2H : NVC_H2C, &mode, &fei);
		nvc_pdu_describe(&pdu, text, sizeof(text));
		if (result == NVC_OK)
			fuzz_pdu(&pdu, &mode);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nvc_slice in = nvc_slice_of(data, size);
	const struct nvc_layout *layout;
	bool gaps;

	if (size == 0 || size > MAX_PLEN)
		return 0;
	in = nvc_slice_sub(in, 1, size);
	if (data[0] >= NUM_ALL_LAYOUTS) {
		fuzz_stream_of_pdus(in);
		return 0;
	}
	layout = wire_layout(data[0], &gaps);
	if (layout)
		fuzz_layout(layout, gaps, in);
	return 0;
}
