/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the host emulator know of data: capsules of vectors.json, and a page of Identify data given in several C2HData. */
#ifndef NVC_TESTS_HOST_DATA_H
#define NVC_TESTS_HOST_DATA_H

#include "host_script.h"
#include "vectors.h"

/* The bytes of a capsule of vectors.json. */
static struct hexed capsule_of(const char *name)
{
	json_t *root = load_vectors();
	struct hexed out = hex_of(json_object_get(root, "capsules"), name);

	json_decref(root);
	return out;
}

/* ---- ICReq, digests, Connect ---- */

static uint8_t pattern[4096];

static void fill_pattern(void)
{
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 + i / 256);
}

static void give_identify_in_pieces(struct script *script, const struct nvc_pdu *pdu)
{
	const uint16_t cid = cid_of(pdu);

	say_data(script, cid, 0, nvc_slice_of(pattern, 1000), 0, NULL);
	say_data(script, cid, 1000, nvc_slice_of(pattern + 1000, 4), 0, NULL);
	say_data(script, cid, 1004, nvc_slice_of(pattern + 1004, 4096 - 1004), NVC_FLAG_LAST, NULL);
	answer_success(script, pdu);
}

#endif
